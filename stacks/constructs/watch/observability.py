"""A stack's dashboard, and the alarms on what a person must know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from lambda_src.contract import CHALLENGER, PRODUCTION
from stacks.acknowledgements import acknowledge
from stacks.constructs.endpoint.model_endpoint import ModelEndpoint
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard import decisions
from stacks.constructs.watch import alarms, dashboard
from stacks.constructs.watch.alarms import Alarm
from stacks.constructs.watch.metrics import Endpoint, Function, Machine, Metric
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings
from stacks.settings.modes import ASYNC


def metrics_environment(scope: Construct, settings: Settings) -> dict[str, str]:
    """What a function needs to publish its metrics; nothing where there is nobody to look at them."""
    return {"METRICS_STACK": Stack.of(scope).stack_name} if settings.observability else {}


class Observability(Construct):
    """Watches a stack's two workflows, its functions and its model.

    `model` is an endpoint, or the function that holds the model; None where it runs in transform jobs, each of which
    has metrics under its own name. `each` are the functions that every batch calls, `once` those that a job calls
    once, `start_job` the one that starts jobs. Alarms go to the settings' topic.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        job: Workflow,
        request: Workflow,
        model: ModelEndpoint | PythonFunction | None,
        each: Sequence[PythonFunction],
        once: Sequence[PythonFunction],
        start_job: PythonFunction | None = None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self).stack_name
        jobs, requests = (Machine(it.state_machine.state_machine_arn) for it in (job, request))
        starting = [start_job] if start_job else []
        functions = {it: Function(it.node.id, it.function.function_name) for it in (*each, *once, *starting)}
        of_each = tuple(functions[it] for it in each)
        trigger_alarms = chain.from_iterable(alarms.trigger_alarms(functions[it]) for it in starting)
        model_alarms: Iterable[Alarm] = ()
        model_graphs: list[dashboard.Graph] = []
        if isinstance(model, ModelEndpoint):
            endpoint = Endpoint(model.name, PRODUCTION)
            model_alarms = alarms.endpoint_alarms(endpoint, settings)
            model_graphs = dashboard.endpoint_graphs(endpoint, queued=settings.mode == ASYNC)
            if settings.challenger:
                model_graphs += dashboard.challenger_graphs(endpoint, Endpoint(model.name, CHALLENGER))
        elif model is not None:
            model_alarms = alarms.model_function_alarms(functions[model], settings)

        actions = [settings.alarm_topic_arn] if settings.alarm_topic_arn else None
        self.alarms = {
            it.title: self._alarm(it, actions)
            for it in chain(
                alarms.job_alarms(stack, jobs, settings), trigger_alarms, model_alarms, alarms.function_alarms(of_each)
            )
        }
        if actions is None:
            acknowledge(self, decisions.NO_TOPIC)
        graphs = [
            *dashboard.workflow_graphs(stack, jobs, requests),
            *model_graphs,
            *dashboard.function_graphs(list(functions.values()), [("job", jobs), ("request", requests)]),
        ]
        # One resource from data: a widget of the library's own is some calls into the CDK's process for each line.
        self.dashboard = cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_body=dashboard.body(graphs, [it.attr_arn for it in self.alarms.values()], settings.region),
        )

    def _alarm(self, alarm: Alarm, actions: list[str] | None) -> cloudwatch.CfnAlarm:
        metric: Metric = alarm.metric
        percentile = metric.statistic.startswith("p")
        return cloudwatch.CfnAlarm(
            self,
            alarm.title,
            alarm_name=alarms.alarm_name(alarm.title) if alarm.named else None,
            alarm_description=f"{alarm.meaning} See {alarm.title} in docs/operations.md.",
            namespace=metric.namespace,
            metric_name=metric.name,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                for name, value in metric.dimensions.items()
            ],
            statistic=None if percentile else metric.statistic,
            extended_statistic=metric.statistic if percentile else None,
            period=alarm.seconds,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.of,
            threshold=alarm.threshold,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=actions,
            ok_actions=actions,
        )
