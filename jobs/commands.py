"""What each command does. Each returns its exit status."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobs import job as jobs
from jobs import listing, names, progress, report, results, retry, submit
from jobs.errors import DETACHED, JOB_FAILED, SUCCESS, CommandError
from jobs.output import Output
from jobs.stack import Stack
from jobs.text import json_text
from lambda_src.contract import Json, job_prefix


def submit_job(
    stack: Stack, out: Output, source: submit.LocalFile | submit.InS3, options: submit.Options, name: str, *, wait: bool
) -> int:
    """Uploads the data set and starts the job."""
    if isinstance(source, submit.InS3):
        submit.check_in_s3(stack, source)
    submit.check_free(stack, name)
    size = source.path.stat().st_size if isinstance(source, submit.LocalFile) else 0
    try:
        with progress.upload_progress(out.progress, size) as advance:
            dataset = submit.bring(stack, source, name, advance)
    except KeyboardInterrupt:
        raise CommandError("interrupted: no job was started", DETACHED) from None
    submit.start(stack, name, dataset, source.format, options)
    return follow(stack, out, name, wait=wait)


def retry_job(
    stack: Stack, out: Output, parent_id: str, options: submit.Options, name: str | None, *, wait: bool
) -> int:
    """Starts a new job over what the parent did not predict."""
    parent = jobs.find(stack, parent_id)
    retry.check_may_retry(parent)
    new = name or names.generated(f"{parent_id[:50]}-retry")
    submit.check_free(stack, new)
    try:
        with tempfile.TemporaryDirectory() as folder, progress.upload_progress(out.progress, 0) as advance:
            dataset, choice = retry.write(stack, parent, new, Path(folder), advance)
    except KeyboardInterrupt:
        raise CommandError("interrupted: no job was started", DETACHED) from None
    if not choice.again:
        line = f"nothing to do: all {choice.predicted} records of {parent_id} were predicted"
        _say(out, {"job": None, "parent": parent_id, "records": choice.document()}, [line])
        return SUCCESS
    out.note(
        f"{choice.again} of {choice.again + choice.predicted} records were not predicted: "
        f"{choice.rejected} rejected, {choice.failed} failed, {choice.missing} not run"
    )
    submit.start(stack, new, dataset, parent.data_set(stack).format, options.or_those_of(parent.input), parent_id)
    return follow(stack, out, new, wait=wait)


def follow(stack: Stack, out: Output, job: str, *, wait: bool) -> int:
    """Says that the job was started, or watches it until it ends. Ctrl-C leaves it running."""
    come_back = f"python -m jobs status {job}"
    if not wait:
        outputs = stack.uri(f"{job_prefix(job)}/")
        document = {"job": job, "status": "RUNNING", "executionArn": stack.execution_arn(job), "outputs": outputs}
        _say(out, document, [f"started {job}", f"  next     {come_back}"])
        return SUCCESS
    out.note(f"started {job}; Ctrl-C leaves it running")
    try:
        with progress.job_progress(out.progress, job) as told:
            ended = progress.watch(stack, job, told)
    except KeyboardInterrupt:
        raise CommandError(f"detached: {job} goes on; come back with {come_back}", DETACHED) from None
    return _show(stack, out, ended)


def show_job(stack: Stack, out: Output, job: str) -> int:
    """The job as it stands."""
    return _show(stack, out, jobs.find(stack, job))


def _show(stack: Stack, out: Output, job: jobs.Job) -> int:
    counts = None if job.summary else jobs.live(stack, job.id)
    _say(out, job.document(stack, counts), report.job_lines(stack, job, counts))
    return SUCCESS if job.running or job.succeeded else JOB_FAILED


def list_jobs(stack: Stack, out: Output, limit: int) -> int:
    """The stack's jobs."""
    rows = listing.list_jobs(stack, limit)
    if out.as_json:
        out.document({"jobs": rows})
    elif rows:
        report.show_list(out.console, rows)
    else:
        out.lines([f"stack {stack.name} has no jobs: start one with python -m jobs submit FILE"])
    return SUCCESS


def write_results(stack: Stack, out: Output, job_id: str, form: str | None, path: Path | None) -> int:
    """The results into a file or to stdout; with `--json` and no file as one document."""
    job = jobs.find(stack, job_id)
    tally = results.Tally()
    texts = results.lines(stack, job, results.checked_format(form, job.data_set(stack)), tally)
    if out.as_json and path is None:
        rows = results.lines(stack, job, "jsonl", tally)
        before = f'{{"job": {json_text(job.id)}, "status": {json_text(job.status)}, "results": [\n'
        out.data([before], None)
        out.data((("," if number else "") + row for number, row in enumerate(rows)), None)
        out.data([f'], "records": {json_text(tally.document())}}}\n'], None)
        return SUCCESS
    out.data(texts, path)
    out.note(f"{tally.sentence()}{f'; written to {path}' if path else ''}")
    if tally.missing:
        out.note(f"{tally.missing} missing: {results.why_missing(job)}")
    if out.as_json and path is not None:
        out.document(results.document(job, tally, path))
    return SUCCESS


def stop_job(stack: Stack, out: Output, job_id: str) -> int:
    """Stops the job, if it runs."""
    job = jobs.find(stack, job_id)
    stopped = jobs.stop(stack, job)
    if stopped:
        lines = [f"stopped {job_id}", f"  next     python -m jobs retry {job_id}    runs what was not predicted"]
    else:
        lines = [f"{job_id} had ended before ({job.status}): nothing was changed"]
    _say(out, {"job": job_id, "stopped": stopped}, lines)
    return SUCCESS


def _say(out: Output, document: Json, lines: list[str]) -> None:
    if out.as_json:
        out.document(document)
    else:
        out.lines(lines)
