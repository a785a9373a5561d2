"""A cluster of others: its instances are used, what is not ours is counted and left alone."""

from __future__ import annotations

from tests.realdriver.ec2.rig import Rig, table
from tests.realdriver.ec2.world import Booted
from tests.realdriver.rig import registration, service

APP = {"name": "c", "image": "i", "cpu": 64, "memory": 64}


def test_instances_of_others_are_used_and_what_they_have_is_left_alone(world):
    ecs, ec2 = world.client("ecs"), world.client("ec2")
    ecs.create_cluster(clusterName="theirs")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, UserData="#", SubnetId=(
        ec2.describe_subnets()["Subnets"][0]["SubnetId"]), InstanceType="m5.large")  # fmt: skip
    identity = made["Instances"][0]["InstanceId"]
    machine = Booted(identity, "", {"ECS_CLUSTER": "theirs"})
    world.machines[identity] = machine
    world.play(machine, "m5.large", "us-east-1a")
    ecs.register_task_definition(
        family="big", containerDefinitions=[{**APP, "cpu": 1500, "memory": 512}]
    )
    (arn,) = ecs.list_container_instances(cluster="theirs")["containerInstanceArns"]
    ecs.start_task(cluster="theirs", taskDefinition="big", containerInstances=[arn])
    rig = Rig(
        world,
        [registration("app", {**APP, "cpu": 256}), service("app", 4)],
        fleet=[],
        settings=table(world, existing=True, ecs_cluster="theirs"),
    )
    assert rig.control.others() == (0, 1)
    rig.until(rig.runs(2)).go_on(1)
    assert len(rig.running()) == 2, "two of 256 fit beside 1,500 of 2,048"
    rig.down()
    assert world.running() == [identity]
    assert [t["group"] for t in world.tasks("theirs")] == ["family:big"]
    assert "theirs" in str(ecs.list_clusters())
