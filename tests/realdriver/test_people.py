"""What a person does while a run lasts, and after; every cure works as it is printed."""

from __future__ import annotations

import re
import shlex
import signal

from tests.realdriver.rig import ours
from tests.realdriver.test_run import task_definition
from tests.realdriver.test_run import user as user  # a fixture

PRINTED = re.compile(r"`stowplan ([^`]+)`")


def said(done, code=0):
    """What a finished call printed, which must have ended with this code."""
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def as_printed(user, text):
    """Run the command that a text has in backquotes, word for word."""
    (command,) = PRINTED.findall(text)
    return said(user.call(*shlex.split(command)))


def status(user):
    """What `stowplan status` prints."""
    return said(user.call("status"))


def until(user, holds):
    """Wait for what only another call tells; each takes seconds on a busy machine."""
    user.until(holds, 150)


def killed(run):
    """The scheduler is killed; the tasks go on."""
    run.kill()
    run.communicate(timeout=60)


def test_calls_status_and_journals_while_a_run_lasts(user):
    user.lasts(300)
    (user.folder / "late.json").write_text(task_definition("late", "echo late; exit 3"))
    run = user.run(wait=False)
    try:
        user.until(user.serves)
        told = said(user.call("run-task", "job", "--cluster", "tiny", "--count", "2"))
        assert re.search(r"2 tasks \(\d+, \d+\) placed", told)
        sizes = '{"containerOverrides": [{"name": "c", "command": ["sh", "-c", "echo $A; exit 4"],'
        sizes += ' "environment": [{"name": "A", "value": "given"}]}]}'
        late = ("run-task", str(user.folder / "late.json"), "--cluster", "tiny")
        told = said(user.call(*late, "--overrides", sizes))
        number = re.search(r"task (\d+) placed", told)[1]
        said(
            user.call("create-service", "web", "--name", "[b]", "--count", "1", "--cluster", "tiny")
        )
        until(user, lambda: "\n[b] " in status(user))
        ended = re.compile(rf"^{number} +family:late.* 4 ", re.MULTILINE)
        until(user, lambda: ended.search(status(user)))
        assert "unix://" in status(user)
        assert said(user.call("logs", number)).strip() == "c  given"
        for name in ("web", number, "late"):
            assert "instances" in said(user.call("explain", name, "--cluster", "tiny"))
        journal = str(user.cluster.journal)
        for words in (("verify",), ("replay",), ("regret",), ("compare", journal)):
            said(user.call(*words, journal))
        scenario = str(user.folder / "scenario.toml")
        said(user.call("optimize", scenario, "--goal", "repack", "--journal", journal))
        assert user.call("delete-service", "[b]", "--cluster", "tiny").returncode == 2
        said(user.call("delete-service", "[b]", "--cluster", "tiny", "--force"))
        until(user, lambda: "\n[b] " not in status(user))
        killed(run)
        run = user.run(wait=False)
        until(user, lambda: "the run goes on" in status(user))
        # What ended before the crash may still be read after it.
        assert said(user.call("logs", number)).strip() == "c  given"
    finally:
        killed(run)


def test_every_cure_works_as_it_is_printed(user):
    user.lasts(300)
    state = ("--state", str(user.folder / "a state"))
    run = user.run(*state, wait=False)
    journal = user.folder / "a state" / "tiny" / "journal.sqlite"
    user.until(lambda: user.serves() and journal.exists())
    run.send_signal(signal.SIGINT)
    _, printed = run.communicate(timeout=60)
    assert run.returncode == 130
    assert ours(user.engine, "tiny")
    assert "removed" in as_printed(user, printed.decode())
    assert ours(user.engine, "tiny") == {}
    for spoilt in (None, b"no journal"):
        run = user.run(wait=False)
        user.until(user.serves)
        killed(run)
        for file in user.cluster.folder.glob("journal.sqlite*"):
            file.unlink()
        if spoilt is not None:
            user.cluster.journal.write_bytes(spoilt)
            assert "removed" in said(user.call("down", "--cluster", "tiny", "--yes"))
        else:
            again = user.run()
            assert again.returncode == 2
            assert "removed" in as_printed(user, again.stderr)
        assert ours(user.engine, "tiny") == {}
    nobody = user.call("down", "--cluster", "nobody")
    assert nobody.returncode == 2
    assert "no container of it on the local engine" in nobody.stderr
    assert not (user.cluster.folder.parent / "nobody").exists()
