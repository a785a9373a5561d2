"""The rights that a run on EC2 needs, and those of its end; see `realdriver.aws.rights`."""

from __future__ import annotations

from stowplan.realdriver.aws.rights import ANY, ECS, OF_CLUSTER, Right

_INSTANCES = ECS + "container-instance/{cluster}/*"
_TASKS = ECS + "task/{cluster}/*"
_OURS = {"StringLike": {"aws:ResourceTag/stowplan:cluster": "{cluster}"}}

_GROUPS = "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*"
# Of Auto Scaling groups, where capacity providers have real ones.
_OF_GROUPS = (
    Right("autoscaling:DescribeAutoScalingGroups"),
    Right("autoscaling:DeleteScheduledAction", _GROUPS),
    Right("autoscaling:SetDesiredCapacity", _GROUPS),
    Right("autoscaling:SetInstanceProtection", _GROUPS),
    Right("autoscaling:DeleteTags", _GROUPS),
)
# Of `stowplan down`, which ends what a run has, and of a run that ends it itself.
DOWN = (
    Right("ec2:DescribeInstances"),
    Right("ec2:TerminateInstances", "arn:{partition}:ec2:{region}:{account}:instance/*", _OURS),
    Right("ecs:DescribeClusters", ECS + "cluster/{cluster}"),
    Right("ecs:DeleteCluster", ECS + "cluster/{cluster}"),
    Right("ecs:ListServices", ANY, OF_CLUSTER),
    Right("ecs:ListContainerInstances", ECS + "cluster/{cluster}"),
    Right("ecs:DescribeContainerInstances", _INSTANCES, OF_CLUSTER),
    Right("ecs:DeregisterContainerInstance", ECS + "cluster/{cluster}"),
    Right("ecs:ListTasks", ANY, OF_CLUSTER),
    Right("ecs:DescribeTasks", _TASKS, OF_CLUSTER),
    Right("ecs:StopTask", _TASKS, OF_CLUSTER),
    Right("ecs:ListTaskDefinitionFamilies"),
    Right("ecs:ListTaskDefinitions"),
    Right("ecs:DescribeTaskDefinition"),
    Right("ecs:DeregisterTaskDefinition"),
    *_OF_GROUPS,
)
RUN = (
    *DOWN,
    Right("ec2:DescribeSubnets"),
    Right("ec2:DescribeSpotPriceHistory"),
    Right("ec2:RunInstances"),
    Right("ec2:CreateTags"),
    Right("ssm:GetParameter", "arn:{partition}:ssm:{region}::parameter/aws/service/ecs/*"),
    Right("pricing:GetProducts"),
    Right("sqs:ReceiveMessage", "arn:{partition}:sqs:{region}:{account}:*"),
    Right("sqs:DeleteMessage", "arn:{partition}:sqs:{region}:{account}:*"),
    Right("autoscaling:CreateOrUpdateTags", _GROUPS),
    Right("autoscaling:PutScheduledUpdateGroupAction", _GROUPS),
    Right("autoscaling:DescribeLifecycleHooks"),
    Right("autoscaling:CompleteLifecycleAction", _GROUPS),
    Right("ecs:CreateCluster"),
    Right("ecs:RegisterTaskDefinition"),
    Right("ecs:StartTask", ECS + "task-definition/*", OF_CLUSTER),
    Right("ecs:TagResource", implied=True),
    Right("iam:PassRole", "arn:{partition}:iam::{account}:role/*", implied=True),
)
