"""Auto Scaling groups of others: the three orders reach them, and what they do is told."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from tests.driving import provider
from tests.realdriver.ec2.rig import Rig, slots, table
from tests.realdriver.ec2.world import Booted, until
from tests.realdriver.rig import registration, service

APP = {"name": "c", "image": "i", "cpu": 64, "memory": 64}


def make_group(world, name):
    """A group of a user's own, with nothing in it yet."""
    ec2, scaling = world.client("ec2"), world.client("autoscaling")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": name},
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=0,
        VPCZoneIdentifier=subnet,
        NewInstancesProtectedFromScaleIn=False,
    )
    return lambda: scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ][0]


def test_the_three_orders_reach_a_group_and_it_is_given_back(world):
    group = make_group(world, "theirs")
    created = Arrival(0, provider("cp", scaling={}, max_size=5))
    settings = table(world, groups={"cp": "theirs"})
    arrivals = [registration("app", APP), created, service("app", 1)]
    rig = Rig(world, arrivals, slots(1), settings)
    rig.until(rig.runs(1))
    rig.driver.execute(m.SetDesiredCapacity("cp", 2))
    rig.until(lambda: rig.events(m.InstancesLaunched))
    (launched,) = rig.events(m.InstancesLaunched)
    assert [each.price_microusd_hour for each in launched.instances] == [96_000] * 2
    for each in launched.instances:
        machine = Booted(each.ec2_instance_id, "", {"ECS_CLUSTER": f"stowplan-{rig.cluster}"})
        world.machines[machine.id] = machine
        world.play(machine, each.instance_type, each.zone)

    def of_group():
        return [e for e in rig.events(m.InstanceRegistered) if e.capacity_provider]

    rig.until(lambda: len(of_group()) == 2)
    ids = [each.ec2_instance_id for each in launched.instances]
    rig.driver.execute(m.SetInstanceProtection("cp", (ids[0],), True))
    until(lambda: [i["ProtectedFromScaleIn"] for i in group()["Instances"]].count(True) == 1)
    assert len(world.client("autoscaling").describe_scheduled_actions()
               ["ScheduledUpdateGroupActions"]) == 1  # fmt: skip
    rig = rig.again()
    world.client("ec2").terminate_instances(InstanceIds=[ids[1]])
    rig.until(lambda: rig.events(m.InstancesGone))
    rig.until(lambda: any(ids[1] in e.ec2_instance_ids for e in rig.events(m.InstancesTerminated)))
    assert len(rig.driver.fleet.bill.lines) >= 3
    rig.down()
    assert group()["DesiredCapacity"] == 0
    assert not [t for t in group()["Tags"] if t["Key"].startswith("stowplan")]
    until(lambda: not [i for i in group()["Instances"] if i["LifecycleState"] == "InService"])
