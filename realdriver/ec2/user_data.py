"""The script that instances of ours run when they boot. Pure.

It arms the dead man's switch first: where nothing else works, that does. The switch reads a tag of
the instance by its metadata service; the living run moves that tag on. Where the tag cannot be read
the time holds that was read last, at first the one that is written here.
"""

from __future__ import annotations

from collections.abc import Mapping

_SWITCH = """\
cat > /usr/local/sbin/stowplan-switch <<'SWITCH'
#!/bin/bash
until={until}
imds=http://169.254.169.254/latest
while sleep 20; do
  token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
  said=$(curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" $imds/meta-data/tags/instance/{tag})
  [[ $said =~ ^[0-9]+$ ]] && until=$said
  (( $(date +%s) > until )) && shutdown -h now
done
SWITCH
chmod 700 /usr/local/sbin/stowplan-switch
systemd-run --unit=stowplan-switch --property=Restart=always /usr/local/sbin/stowplan-switch \\
  || setsid nohup /usr/local/sbin/stowplan-switch </dev/null >/dev/null 2>&1 &
"""


def user_data(
    settings: Mapping[str, str], *, until_s: int | None, tag: str, authority: str = ""
) -> str:
    """The script.

    Args:
        settings: lines of /etc/ecs/ecs.config.
        until_s: when the switch powers off unless `tag` says otherwise, in seconds since 1970;
            None: there is no switch.
        authority: PEM text of an authority that agents shall trust.
    """
    parts = ["#!/bin/bash\n"]
    if until_s is not None:
        parts.append(_SWITCH.replace("{until}", str(until_s)).replace("{tag}", tag))
    if authority:
        at = "/etc/pki/ca-trust/source/anchors/stowplan.pem"
        parts.append(f"cat > {at} <<'PEM'\n{authority.strip()}\nPEM\nupdate-ca-trust\n")
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    parts.append(f"mkdir -p /etc/ecs\ncat >> /etc/ecs/ecs.config <<'LINES'\n{lines}LINES\n")
    return "".join(parts)


def read_settings(script: str) -> dict[str, str]:
    """The lines of ecs.config that a script of ours writes: what an agent would be told."""
    _, _, rest = script.partition("ecs.config <<'LINES'\n")
    lines = rest.partition("LINES\n")[0].splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)
