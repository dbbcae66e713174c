"""Consumer groups: lag, members, and those that hold partitions and do not read them."""

from panels import cluster_variables, dashboard, panel, row, stat, variable

_GROUP = 'group=~"$group"'

_PANELS = [
    row("All groups"),
    stat("Groups", "Groups of all states.", "none", "sum(max by (state, type) (millrace_groups{cluster}))", width=6),
    stat("Lag of all groups", "Records that groups have not committed yet.", "none",
         "sum(max by (group, topic) (millrace_group_lag{cluster}))", width=6),
    stat("Assigned, not fetched", "Partitions that a member holds, heartbeats for, and does not read.", "none",
         "sum(max by (group) (millrace_group_partitions_not_fetched{cluster}))", alarm=1, width=6),
    stat("Coordinators that failed", "Partitions of __consumer_offsets that cannot be read: their groups are not served.", "none",
         "sum(millrace_group_coordinators_failed{cluster})", alarm=1, width=6),
    panel("Groups by state", "How many groups are in each state.", "none",
          {"{{state}} ({{type}})": "max by (state, type) (millrace_groups{cluster})"}, stack=True, width=8),
    panel("Rebalances", "Times that groups shared out partitions anew, per minute.", "opm",
          {"{{type}}": "sum by (type) (rate(millrace_group_rebalances_total{cluster}[rate])) * 60"}, width=8),
    panel("Commits", "Offsets that groups committed, per second.", "ops",
          {"{{pod}}": "sum by (pod) (rate(millrace_group_offsets_committed_total{cluster}[rate]))"}, stack=True, width=8),
    row("Lag"),
    panel("Lag", "Records between what the group committed and the end of the topic.", "none",
          {"{{group}} {{topic}}": "max by (group, topic) (millrace_group_lag{cluster,%s})" % _GROUP}, width=12, height=9),
    panel("Growth of the lag", "Records per second that the lag grew by in a quarter of an hour. Below 0 the group catches up.", "cps",
          {"{{group}} {{topic}}": "deriv(max by (group, topic) (millrace_group_lag{cluster,%s})[15m:1m])" % _GROUP}, width=12,
          height=9),
    panel("The most lag", "Groups and topics with the most lag.", "none",
          {"": "topk(20, max by (group, topic) (millrace_group_lag{cluster}))"}, kind="table", width=12, height=9),
    panel("Members", "Members of each group.", "none",
          {"{{group}}": "max by (group) (millrace_group_members{cluster,%s})" % _GROUP}, width=12, height=9),
    row("Coordinators"),
    panel("Not fetched", "Partitions that a member holds and whose records nobody fetches, by group.", "none",
          {"{{group}}": "max by (group) (millrace_group_partitions_not_fetched{cluster})"}, width=6),
    panel("Loading", "Partitions of __consumer_offsets that are being read after they got another leader.", "none",
          {"{{pod}}": "sum by (pod) (millrace_group_coordinators_loading{cluster})"}, width=6),
    panel("Batches written", "Batches appended to __consumer_offsets, per second.", "ops",
          {"{{pod}}": "sum by (pod) (rate(millrace_group_appends_total{cluster}[rate]))"}, width=6),
    panel("Not shown", "Groups and topics of groups that are too many to be shown.", "none",
          {"{{pod}}": "max by (pod) (millrace_group_lag_series_dropped{cluster})"}, width=6),
]


def text():
    group = variable("group", 'label_values(millrace_group_members{namespace="$namespace",millrace_cluster="$cluster"}, group)',
                     "Group", many=True, everything=True)
    return dashboard("millrace-groups", "Millrace / Groups and lag", "Consumer groups: lag, members, rebalances, and who does not read.",
                     _PANELS, [*cluster_variables(), group])
