"""What schedulers are told of run times: only what was known by then."""

from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.experiments.workloads.protocol import Job


def job(at_s, run_s, cpu=1):
    return Job(at_s * 1000, 1, run_s * 1000, cpu, 10)


def test_history_knows_what_has_ended_and_nothing_else():
    expect = EXPECTED["history"]()
    assert expect(job(0, 10)) is None
    assert expect(job(5, 30)) is None  # the first still runs
    assert expect(job(10, 50)) == 10_000  # it has just ended
    assert expect(job(11, 7, cpu=2)) == 10_000  # another size: the mean of all
    assert expect(job(40, 1)) == 20_000  # 10 and 30 s
    assert expect(job(40, 1, cpu=2)) == 7_000


def test_an_oracle_tells_the_truth_and_nothing_is_nothing():
    assert EXPECTED["oracle"]()(job(0, 10)) == 10_000
    assert EXPECTED["nothing"]()(job(0, 10)) is None
