"""The one place where errors of AWS and of its SDK become ours: one sentence, with the way out.

The kind tells the cause. `Unanswered` says nothing of what was asked for: it may have been done.
All others are AWS's answer: it was not done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from stowplan.placement.driver import DriverError, InsufficientCapacity, NotFound, Throttled


class Unanswered(DriverError):
    """No answer, or none that says what became of the call: its fate is unknown."""


class NotAllowed(DriverError):
    """The credentials have no right to do it; `action` is the one that the policy lacks."""

    def __init__(self, text: str, action: str) -> None:
        super().__init__(text)
        self.action = action


class NoCredentials(DriverError):
    """There are no credentials, or they have expired: with others the same call may succeed."""


class QuotaExceeded(DriverError):
    """The account may have no more of it."""


class Refused(DriverError):
    """The call makes no sense to AWS: `code` is its error code."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class WouldSucceed(DriverError):
    """The answer to a call with DryRun: the rights are there."""


_EXPIRED = {
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "AuthFailure"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
    *("SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken"),
}
_DENIED = {
    *("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AccessDeniedFault"),
    *("NotAuthorized", "UnauthorizedException", "AuthorizationError"),
}
_THROTTLED = {
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded"),
    *("RequestThrottled", "RequestThrottledException", "TooManyRequestsException"),
    *("RateExceeded", "SlowDown", "BandwidthLimitExceeded", "PriorRequestNotComplete"),
    "EC2ThrottledException",
}
_NO_CAPACITY = {
    *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "UnfulfillableCapacity"),
    *("InsufficientFreeAddressesInSubnet", "Unsupported", "InsufficientCapacity"),
    *("SpotMaxPriceTooLow", "InsufficientAddressCapacity", "InsufficientReservedInstanceCapacity"),
}
# AWS says by these that it failed, not what became of the call.
_UNKNOWN = {
    *("InternalError", "InternalFailure", "ServerInternal", "ServiceUnavailable", "Unavailable"),
    *("ServerException", "InternalServerError", "RequestTimeout", "500", "502", "503", "504"),
}
# What to do about the commonest. {region} and the like are filled in by `translated`.
_WAYS_OUT = {
    "InstanceLimitExceeded": "ask for a higher limit on EC2 instances in Service Quotas",
    "VcpuLimitExceeded": "ask for more vCPUs of that family in Service Quotas, or launch fewer",
    "MaxSpotInstanceCountExceeded": "ask for a higher spot quota, or launch on-demand",
    "AddressLimitExceeded": "release Elastic IPs that nothing uses, or ask for a higher quota",
    "VPCIdNotSpecified": "name subnets: this account has no default VPC in {region}",
    "DefaultVpcDoesNotExist": "name subnets: this account has no default VPC in {region}",
    "DefaultSubnetDoesNotExist": "name subnets: this account has no default subnet in that zone",
    "InvalidAMIID.NotFound": "AMIs have another id in each region: leave it out, and the one that "
    "AWS recommends in {region} is taken",
    "InvalidAMIID.Unavailable": "that AMI was withdrawn: leave it out, and AWS's own is taken",
    "ParameterNotFound": "AWS recommends no AMI of that name in {region}: give the id of one",
    "InvalidSubnetID.NotFound": "name subnets of {region}",
    "InvalidGroup.NotFound": "name a security group of {region}, in the VPC of the subnets",
    "InvalidParameterValue.IamInstanceProfile": "`stowplan setup-ec2` makes the profile",
    "ClusterNotFoundException": "name a cluster of {region}, or have it made",
    "OptInRequired": "activate the account, or opt in to the region {region}, in the console",
    "PendingVerification": "AWS verifies the account yet: wait for its mail",
    "IdempotentParameterMismatch": "the same token was used with other parameters: report this",
    "InsufficientFreeAddressesInSubnet": "name another subnet, or a larger one",
    "Unsupported": "that zone does not offer the type: name other zones or types",
}
_PREFIXES = {"elbv2": "elasticloadbalancing"}  # what policies call a service, if not as boto3 does
_NEEDS = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")


@contextmanager
def translated(service: str, action: str, region: str) -> Iterator[None]:
    """Raise our errors in place of the SDK's.

    Args:
        service, action: as a policy names them: "ec2", "RunInstances".

    Raises:
        NotAllowed, NoCredentials, Throttled, InsufficientCapacity, QuotaExceeded, NotFound,
        Refused, WouldSucceed, Unanswered; all are DriverErrors.
    """
    try:
        yield
    except sdk.ClientError as error:
        raise _answered(error, service, action, region) from error
    except sdk.ParamValidationError as error:
        raise Refused(f"{service} {action}: {_line(error)}", "ParamValidation") from error
    except (
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.CredentialRetrievalError,
        sdk.TokenRetrievalError,
        sdk.SSOError,
    ) as error:
        raise NoCredentials(
            f"no AWS credentials ({_line(error)}): `aws configure`, `aws sso login`, or set "
            "AWS_PROFILE or AWS_ACCESS_KEY_ID"
        ) from error
    except (sdk.BotoCoreError, ResponseParserError) as error:
        raise Unanswered(f"{service} {action}: {_line(error)}") from error


def _answered(error: sdk.ClientError, service: str, action: str, region: str) -> DriverError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    text = str(error.response.get("Error", {}).get("Message", "")) or code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    words = f"{service} {action}: {_short(text)}"
    if code == "DryRunOperation":
        return WouldSucceed(words)
    if code in _DENIED:
        named = _NEEDS.search(text)
        right = named[1] if named else f"{_PREFIXES.get(service, service)}:{action}"
        return NotAllowed(
            f"no right to {right}: add it to the policy of these credentials "
            "(`stowplan iam-policy` prints what is needed)",
            right,
        )
    if code in _EXPIRED:
        return NoCredentials(f"AWS takes these credentials no more ({code}): log in again")
    if code in _THROTTLED:
        return Throttled(f"{words}: too many calls")
    way = _WAYS_OUT.get(code, "").format(region=region)
    words += f"; {way}" if way else ""
    if code in _NO_CAPACITY:
        return InsufficientCapacity(words)
    if code.endswith(("LimitExceeded", "LimitExceededException")):
        return QuotaExceeded(words)
    if "NotFound" in code or code.endswith("DoesNotExist") or code == "NoSuchEntity":
        return NotFound(words)
    if code in _UNKNOWN or status >= 500:
        return Unanswered(words)
    return Refused(words, code)


def _short(text: str) -> str:
    """AWS's words without what only machines read."""
    text = text.split("Encoded authorization failure message")[0]
    return " ".join(text.split()).rstrip(". ")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
