"""The record of what was done, in whose name. One AuditEvent for each fact; never a secret, argument or result.

    log           queues events and writes them, many in a transaction; some are waited for before anything is done
    call_record   the events of one call, from before its token is used to its end
    arguments     the keyed hash by which two calls' arguments can be found equal, and nothing else about them
    verification  whether the chains of the record are whole
    retention     how long it is kept
    unfinished    calls that a process left behind when it was killed, which are given an end

Below: store. Above: the executor, oauth, access, the command line.
"""

from gateway.audit.call_record import CallRecord, ended
from gateway.audit.log import AuditLog

__all__ = ["AuditLog", "CallRecord", "ended"]
