"""The embedded AWS's foundation: the only room that touches MiniStack, whose names used here are private.

Importing it configures MiniStack through the environment, imports it and changes it in place: the
process that imports it *is* an embedded AWS. The version is pinned, and `tests/local/test_ministack.py` names
what an upgrade would have to keep. What is changed, and why:

- MiniStack answers any caller who uses the key "test", an account number or no key as the account's root, and
  does not check their signatures. Here a request is answered only if it is signed with a key of this run, and
  only if the signature covers its body and every header of AWS's own.
- A request signed for a service that MiniStack does not have is refused; it would be taken for S3.
- A request counts as encrypted, as AWS's endpoints are: the policies that ask for it are the templates' own.
- A bucket that a template encrypts with a key has its objects read and written by those only who may use the key.
- Its start-up hooks (Docker clean-up, init scripts, listeners on further ports) never run.
"""

from __future__ import annotations

from local.ministack import networks  # noqa: F401  it adds a resource type by being there
from local.ministack.additions import add_resource_type, add_service, physical_name
from local.ministack.buckets import read_object
from local.ministack.callers import ROOT
from local.ministack.events import has_schedules, run_schedules
from local.ministack.functions import Function, find_function, replace_executor
from local.ministack.keeping import note_changes, save_kept
from local.ministack.log_groups import create_log_group, log_streams, put_log_lines
from local.ministack.metrics import alarms_on, put_metrics, ringing
from local.ministack.place import attach, here, run_on_loop, scope
from local.ministack.policies import authorize, note_allowed, principal
from local.ministack.privates import ACCOUNT, REGION
from local.ministack.requests import app
from local.ministack.roles import role_session
from local.ministack.sending import send
from local.ministack.shapes import Credentials, Prepared, Request, ResourceType, Response, RoleError

__all__ = [
    "ACCOUNT",
    "REGION",
    "ROOT",
    "Credentials",
    "Function",
    "Prepared",
    "Request",
    "ResourceType",
    "Response",
    "RoleError",
    "add_resource_type",
    "add_service",
    "alarms_on",
    "app",
    "attach",
    "authorize",
    "create_log_group",
    "find_function",
    "has_schedules",
    "here",
    "log_streams",
    "note_allowed",
    "note_changes",
    "physical_name",
    "principal",
    "put_log_lines",
    "put_metrics",
    "read_object",
    "replace_executor",
    "ringing",
    "role_session",
    "run_on_loop",
    "run_schedules",
    "save_kept",
    "scope",
    "send",
]
