"""The Kubernetes operator: what it waits for, what it does, how the API server answers."""

from panels import dashboard, panel, row, stat, variable

_LABELS = 'pod=~"$pod"'

_STATE = [
    row("What it looks after"),
    stat("Works", "Operators that hold the lease: exactly one, but for seconds after the loss of one.", "none",
         "sum(millrace_operator_leader{cluster})", low_alarm=1),
    stat("Clusters", "Clusters that it knows.", "none", 'max(millrace_operator_objects{cluster,kind="millraceclusters"})'),
    stat("Topics", "Topics that it knows.", "none", 'max(millrace_operator_objects{cluster,kind="millracetopics"})'),
    stat("Clusters that are not Ready", "Clusters whose condition Ready is not True.", "none",
         'count(max by (namespace, name) (millrace_operator_cluster_condition{cluster,condition="Ready"}) == 0) or vector(0)', alarm=1),
    stat("Degraded clusters", "Clusters whose condition Degraded is True: something needs a person.", "none",
         'count(max by (namespace, name) (millrace_operator_cluster_condition{cluster,condition="Degraded"}) == 1) or vector(0)',
         alarm=1),
    stat("Longest wait", "For how long the object that has waited longest has done so.", "s",
         "max(millrace_operator_waiting_seconds{cluster})"),
    panel("Brokers that are missing", "Brokers of each cluster that are wanted and not ready.", "none",
          {"{{namespace}}/{{name}}": 'sum by (namespace, name) (millrace_operator_cluster_brokers{cluster,state="desired"}) '
                                     '- sum by (namespace, name) (millrace_operator_cluster_brokers{cluster,state="ready"})'}, width=8),
    panel("Conditions", "Objects by condition, status and reason.", "none",
          {"{{kind}} {{condition}}={{status}} {{reason}}":
           "max by (kind, condition, status, reason) (millrace_operator_conditions{cluster})"}, width=8),
    panel("Waiting, by reason", "Objects that wait or were refused. docs/kubernetes.md says what to do about each reason.", "none",
          {"{{kind}} {{reason}}": "max by (kind, reason) (millrace_operator_waiting{cluster}) or on() vector(0)"}, stack=True, width=8),
]

_WORK = [
    row("What it does"),
    panel("Reconciliations", "Objects looked at per second, by how it ended. Without changes there are next to none.", "ops",
          {"{{kind}} {{result}}": "sum by (kind, result) (rate(millrace_operator_reconciles_total{cluster}[rate]))"}),
    panel("Time of a reconciliation", "99th percentile of observing, planning and acting once.", "s",
          {"{{kind}}": "histogram_quantile(0.99, sum by (le, kind) (rate(millrace_operator_reconcile_seconds_bucket{cluster}[rate])))"}),
    panel("Queue", "Objects that wait for a worker, and for how long the first has waited.", "none",
          {"objects": "max(millrace_operator_queue_depth{cluster})",
           "seconds": "max(millrace_operator_queue_oldest_seconds{cluster})"}),
    panel("Tried again", "Objects per second that were put back after an error.", "ops",
          {"retries": "sum(rate(millrace_operator_queue_retries_total{cluster}[rate]))"}),
    panel("Actions", "What was done per minute, by kind of action and result.", "opm",
          {"{{action}} {{result}}": "sum by (action, result) (rate(millrace_operator_actions_total{cluster}[rate])) * 60"}, width=12),
    panel("Writes of status", "Status written per minute: only when its meaning changes, so none at rest.", "opm",
          {"{{kind}}": "sum by (kind) (rate(millrace_operator_status_writes_total{cluster}[rate])) * 60"}),
    panel("Events", "Kubernetes events written per minute, by reason.", "opm",
          {"{{reason}}": "sum by (reason) (rate(millrace_operator_events_total{cluster}[rate])) * 60"}),
]

_CALLS = [
    row("Whom it asks"),
    panel("API server", "Requests per second, by verb and answer.", "reqps",
          {"{{verb}} {{resource}} {{code}}":
           "sum by (verb, resource, code) (rate(millrace_operator_api_requests_total{cluster}[rate]))"}, width=12),
    panel("API server, time", "99th percentile of a request's time, by verb.", "s",
          {"{{verb}}": "histogram_quantile(0.99, sum by (le, verb) (rate(millrace_operator_api_request_seconds_bucket{cluster}[rate])))"}),
    panel("Watches", "Watches begun, and lists read anew because a watch could not go on, per minute.", "opm",
          {"begun {{resource}}": "sum by (resource) (rate(millrace_operator_watch_starts_total{cluster}[rate])) * 60",
           "list {{resource}}": "sum by (resource) (rate(millrace_operator_relists_total{cluster}[rate])) * 60"}),
    panel("Brokers", "Calls to brokers per second, by method and answer.", "reqps",
          {"{{method}} {{code}}": "sum by (method, code) (rate(millrace_operator_broker_calls_total{cluster}[rate]))"}, width=12),
    panel("Lease", "Times per hour that another operator took over.", "none",
          {"{{pod}}": "increase(millrace_operator_lease_transitions_total{cluster}[1h])"}),
    panel("Memory", "Resident memory.", "bytes", {"{{pod}}": "max by (pod) (process_resident_memory_bytes{cluster})"}),
]


def text():
    pod = variable("pod", "label_values(millrace_operator_build_info, pod)", "Operator", many=True, everything=True)
    return dashboard("millrace-operator", "Millrace / Operator", "The Kubernetes operator: what it waits for, does and asks.",
                     _STATE + _WORK + _CALLS, [pod], labels=_LABELS)
