"""The states that split a batch which the model refused, until each offender stands alone."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.states.failures import Caught, sentence
from stacks.constructs.states.model_call import ModelCall
from stacks.constructs.states.predictor import Predictor

INSTANCES = """(
  $lo := $queue[0].lo;
  $hi := $queue[0].hi;
  $only := $batch.instances[$lo];
  $hi - $lo > 1 ? $filter($batch.instances, function($instance, $at) { $at >= $lo and $at < $hi })
    : $type($only) = 'array' ? [[$only]] : [$only]
)"""
"""The instances of the part that is next. JSONata makes one value of a list of one, so one instance is put into
a list by hand; around an instance that is a list itself a single pair of brackets would vanish."""

ITEM = """(
  $input := $states.context.Execution.Input;
  $index := $batch.indexes[$part.lo];
  $exists($input.Items) ? $input.Items[index = $index] : {'index': $index, 'record': $input.records[$index]}
)"""
"""The record that stands alone, as the batch or the request carried it. In a Map the execution is the child's, and
its input is the batch."""

REST = "[$filter($queue, function($next, $at) { $at > 0 })]"

HALVES = """(
  $middle := $part.lo + $floor(($part.hi - $part.lo) / 2);
  [
    {'lo': $part.lo, 'hi': $middle, 'held': $part.held + 1},
    {'lo': $middle, 'hi': $part.hi, 'held': $part.held + 1},
    $queue
  ]
)"""

CAUSE = (
    "$substring($states.errorOutput.Error = 'States.QueryEvaluationError' "
    "? 'the model answered something else than JSON with a list of predictions' "
    f": $substringBefore({sentence('$states.errorOutput.Cause')}, ' (Service: '), 0, 500)"
)
"""What the model said: no more than a rejected record's line should carry, and without the request's id, which
would make the same batch's results other bytes when it runs again."""

NO_ANSWER: dict[str, list[float]] = {"predictions": []}
"""In the place of the model's answer, where it was not asked, or asked in parts."""

PLACE = "{'lo': $queue[0].lo, 'hi': $queue[0].hi}"
"""Where a predicted part stands in the batch."""

RETRIES = "$states.context.State.RetryCount"


class BatchSplit(Construct):
    """A loop over parts of a batch, first part first: predicted, or halved and tried again, or rejected alone.

    A part is `{"lo", "hi", "held"}`: the positions from `lo` to before `hi` in the batch, and how many model
    calls have held them once this one is made. The variables: `batch` (what Preprocess made), `queue` (the parts
    still to send), `part` (the one just refused) with its `cause`, `parts` (those predicted, with the
    model's answer), `refused` (records), `calls` and `modelRetries`.
    `lambda_src.splitting` puts all together again, in `next`, whose input has `split`: `{"parts", "refused"}`.
    `caught` sends a refused batch here.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        predictor: Predictor,
        failed: sfn.Fail,
        most_calls: int,
        counted: bool,
        next: sfn.IChainable,  # noqa: A002 - what the library calls the state that comes after
    ) -> None:
        super().__init__(scope, construct_id)
        refused_part = sfn.Choice.jsonata(self, "RefusedPart")
        self.caught = Caught(
            predictor.refusals,
            refused_part,
            {
                "batch": "{% $states.input %}",
                "part": "{% {'lo': 0, 'hi': $count($states.input.instances), 'held': 1} %}",
                "queue": [],
                "parts": [],
                "refused": [],
                "cause": f"{{% {CAUSE} %}}",
                "calls": 1,
                "miscounted": False,
                "modelRetries": f"{{% {RETRIES} %}}",
            },
        )
        reject_record = sfn.Pass.jsonata(
            self,
            "RejectRecord",
            assign={
                "refused": f"{{% [$refused, {{'at': $part.lo, 'item': {ITEM}, 'cause': $cause, "
                "'attempts': $part.held}] %}"
            },
        )
        halve_part = sfn.Pass.jsonata(self, "HalvePart", assign={"queue": f"{{% {HALVES} %}}"})
        next_part = sfn.Choice.jsonata(self, "NextPart")
        self.predict_part = predictor.step(
            self,
            "PredictPart",
            ModelCall(
                instances=INSTANCES,
                outputs={},
                assign={
                    "parts": f"{{% [$parts, $merge([{PLACE}, {predictor.answer}])] %}}",
                    # Checked at once, and once more where the parts are put together: never a shift.
                    "miscounted": f"{{% $count(({predictor.answer}).predictions) != $queue[0].hi - $queue[0].lo %}}",
                    "queue": f"{{% {REST} %}}",
                    "calls": "{% $calls + 1 %}",
                    "modelRetries": f"{{% $modelRetries + {RETRIES} %}}",
                },
                failed=failed,
                caught=Caught(
                    predictor.refusals,
                    refused_part,
                    {
                        "part": "{% $queue[0] %}",
                        "queue": f"{{% {REST} %}}",
                        "cause": f"{{% {CAUSE} %}}",
                        "calls": "{% $calls + 1 %}",
                        "modelRetries": f"{{% $modelRetries + {RETRIES} %}}",
                    },
                ),
            ),
        )
        part_miscounted = sfn.Fail.jsonata(
            self,
            "PartMiscounted",
            error="PredictionCountMismatch",
            cause=f"{predictor.name}: expected one prediction an instance in a part of the batch, received other",
        )
        too_many_calls = sfn.Fail.jsonata(
            self,
            "SplitLimitReached",
            error="SplitLimitReached",
            cause=f"{{% '{predictor.name}: the model refused parts of this batch until all {most_calls} calls "
            "for it were made, last with: ' & $cause %}",
        )
        split = {"parts": "{% $parts %}", "refused": "{% $refused %}"}
        counts = {"calls": "{% $calls %}", "retries": "{% $modelRetries %}"} if counted else {}
        join_parts = sfn.Pass.jsonata(
            self,
            "JoinParts",
            outputs={
                "ids": "{% $batch.ids %}",
                "indexes": "{% $batch.indexes %}",
                "answer": NO_ANSWER,
                "split": split,
                "rejected": "{% $batch.rejected %}",
                **counts,
            },
        )

        alone = sfn.Condition.jsonata("{% $part.hi - $part.lo = 1 %}")
        refused_part.when(alone, reject_record).otherwise(halve_part)
        reject_record.next(next_part)
        halve_part.next(next_part)
        (
            next_part.when(sfn.Condition.jsonata("{% $miscounted %}"), part_miscounted)
            .when(sfn.Condition.jsonata("{% $count($queue) = 0 %}"), join_parts)
            .when(sfn.Condition.jsonata(f"{{% $calls >= {most_calls} %}}"), too_many_calls)
            .otherwise(self.predict_part)
        )
        self.predict_part.next(next_part)
        join_parts.next(next)
