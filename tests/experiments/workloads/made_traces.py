"""A small sound file of every trace format, with the options to read it by."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

RUN = {"distribution": "exponential", "mean": "60s"}
MACHINE = {"machine_cpu": 4.0, "machine_memory_gib": 16.0}
MEMORY = {"machine_memory_gib": 100.0}


class Sample(NamedTuple):
    """Options of a workload; the files that it reads, its own first; what it says of a bad line."""

    options: dict[str, Any]
    files: dict[str, str] = {}  # noqa: RUF012
    bad: str = ""
    says: str = ""


TABLE = """at,run,count,cpu,overrides
0,30,2,,
1.5,,1,100,"{""containerOverrides"": [{""name"": ""c"", ""environment"": []}]}"
"""


def _google(at_s, job, index, event, cpu="0.25", memory="0.5", different="0"):
    return f"{at_s * 1_000_000},,{job},{index},,{event},u,0,0,{cpu},{memory},0,{different}\n"


def _event(at_s, kind, collection=7, index=0, **fields):
    row = {"time": str(at_s * 1_000_000), "type": kind, "collection_id": str(collection)}
    row |= {"collection_type": "0", "instance_index": str(index)}
    return json.dumps(row | fields) + "\n"


GOOGLE_2011 = (
    _google(0, 1, 0, 0)  # before the trace
    + _google(610, 2, 0, 0, different="1")
    + _google(611, 2, 0, 1)
    + _google(612, 3, 0, 0)  # killed before it ran: left out
    + _google(613, 3, 0, 5)
    + _google(620, 2, 0, 8)
    + _google(621, 2, 0, 2)  # evicted, and submitted again
    + _google(622, 2, 0, 0, cpu="", memory="")
    + _google(630, 2, 0, 1)
    + _google(660, 2, 0, 4)
)
ASKED = {"resource_request": {"cpus": 0.5, "memory": 0.25}}
GOOGLE_2019 = (
    _event(600, 0, **ASKED)
    + _event(601, "SCHEDULE")
    + _event(602, "SUBMIT", 8, **ASKED, collection_type=1)
    + _event(603, 0, 9, 3)
    + _event(631, 6)
)
SWF = """; Version: 2.2
 1  10  5  100  4 -1 2048  4 -1 -1 1 1 1 -1 -1 -1 -1 -1
 2  20  5   -1 -1 -1   -1  4 -1 -1 5 1 1 -1 -1 -1 -1 -1
 3  30  0   50 -1 -1   -1  2 -1 10240 1 1 1 -1 -1 -1 -1 -1
"""
BATCH_2018 = """M1,3,j_1,1,Terminated,10,40,100.0,0.5
R2_1,1,j_1,1,Terminated,40,41,50.0,
task_x,2,j_2,1,Running,50,0,,0.25
task_y,2,j_2,1,Failed,60,0,100.0,0.25
"""
CONTAINERS_2018 = """c_1,m_1,100,app_1,started,400,800,1.5
c_1,m_1,0,app_1,started,400,800,1.5
c_2,m_1,50,app_2,started,800,800,3.0
"""
OPENB = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time
pod-0,12000,16384,1,1000,,0,90
pod-1,250,100,1,460,V100M32|V100M16|V100M32,60,
pod-2,1000,100,0,0,,30,30
"""
DLRM = """role,app_name,cpu_request,gpu_request,rdma_request,memory_request,disk_request,\
max_instance_per_node,creation_time,deletion_time
HN,app_0,12,1,25,120.0,640.5,8,,
CN,app_1,64,0,1,937.5,255.0,-1,10,70.5
"""
CLOUDSIMPY = """submit_time,duration,cpu,memory,job_id,task_id,instances_num
0,10,1,0.5,1,1,3
5,10,1,0.5,2,1,1
"""
AZURE = {
    "arrivals.txt.gz": "300 a,a,b,|,a,|\n600 \n900 b,|\n",
    "v1.dev.c2100000.txt.gz": "300 U0,U0,C1,|,U1,|\n600 \n900 U0,|\n",
    "flav_map.txt": "1,0.75 a\n2,3.5 b\n",
    "v1.interval_map.txt.gz": "0 0\n300 1\n600 1\n",
}

SAMPLES: dict[str, Sample] = {
    "alibaba_2018_batch": Sample(MEMORY, {"t.csv": BATCH_2018}, "a,b", "2 columns"),
    "alibaba_2018_containers": Sample(MEMORY, {"t.csv": CONTAINERS_2018}, "a,b", "2 columns"),
    "alibaba_batch": Sample(MEMORY, {"t.csv": CLOUDSIMPY}, "x,1,1,1,1,1,1", "submit_time"),
    "alibaba_dlrm": Sample({}, {"t.csv": DLRM}, "a,b", "2 columns"),
    "azure_v1": Sample({}, AZURE, "1200 z,|", "does not match"),
    "burst": Sample({"count": 5, "at": ["1s", "30m"], "run": RUN}),
    "diurnal": Sample({"rate_per_s": 0.05, "amplitude": 0.8, "period": "30m", "run": RUN}),
    "google_2011": Sample(MACHINE, {"t.csv": GOOGLE_2011}, "1,2", "2 columns"),
    "google_2019": Sample(MACHINE, {"t.json": GOOGLE_2019}, "{", "is not JSON"),
    "mmpp": Sample({"rates_per_s": [0.0, 0.2], "stays": ["5m", "5m"], "run": RUN}),
    "openb_pods": Sample({}, {"t.csv": OPENB}, "p,1", "2 columns"),
    "poisson": Sample({"rate_per_s": 0.05, "run": RUN}),
    "renewal": Sample({"gap": RUN, "run": RUN}),
    "swf": Sample({}, {"t.swf": SWF}, "4 40 1", "3 fields"),
    "table": Sample({}, {"t.csv": TABLE}, "9,5,1,x,\n", "cpu 'x' is not a whole number"),
    "waves": Sample({"every": "10m", "count": 4, "within": "1m", "run": RUN}),
}
