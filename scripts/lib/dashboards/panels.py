"""What Grafana's dashboards are built of: a panel says its title, meaning, unit and queries in one line each.

A query is PromQL with two short forms: `{cluster}` in braces stands for the labels by which one cluster is chosen, and
`[rate]` for a window that fits the time shown. A panel is 6 of 24 columns wide unless it says otherwise.
"""

import json

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
CLUSTER = 'namespace="$namespace",millrace_cluster="$cluster"'
COLUMNS = 24


def expand(query, labels=CLUSTER):
    """The PromQL of a short form."""
    return query.replace("{cluster}", "{" + labels + "}").replace("{cluster,", "{" + labels + ",").replace(
        "[rate]", "[$__rate_interval]")


def panel(title, meaning, unit, queries, kind="timeseries", width=6, height=7, **options):
    """queries: {legend: query}. options: stack, alarm (a value from which it is red), decimals, low_alarm."""
    return {"title": title, "meaning": meaning, "unit": unit, "queries": queries, "kind": kind, "width": width,
            "height": height, **options}


def stat(title, meaning, unit, query, **options):
    """One number, red from `alarm` up, or below `low_alarm`."""
    return panel(title, meaning, unit, {"": query}, kind="stat", width=options.pop("width", 4), height=4, **options)


def row(title):
    return {"title": title, "kind": "row", "width": COLUMNS, "height": 1}


def variable(name, query, label, many=False, everything=False):
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "multi": many, "includeAll": everything, "allValue": ".*" if everything else None,
            "current": {}, "options": []}


def cluster_variables():
    return [variable("namespace", 'label_values(millrace_build_info{millrace_cluster!=""}, namespace)', "Namespace"),
            variable("cluster", 'label_values(millrace_build_info{namespace="$namespace"}, millrace_cluster)', "Cluster")]


def _thresholds(given):
    if "alarm" in given:
        return [{"color": "green", "value": None}, {"color": "red", "value": given["alarm"]}]
    if "low_alarm" in given:
        return [{"color": "red", "value": None}, {"color": "green", "value": given["low_alarm"]}]
    return [{"color": "green", "value": None}]


def _fields(given):
    defaults = {"unit": given["unit"], "thresholds": {"mode": "absolute", "steps": _thresholds(given)}}
    if "decimals" in given:
        defaults["decimals"] = given["decimals"]
    if given["kind"] == "timeseries":
        defaults["color"] = {"mode": "palette-classic"}
        defaults["min"] = 0
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False,
                              "stacking": {"mode": "normal" if given.get("stack") else "none", "group": "A"}}
    else:
        defaults["color"] = {"mode": "thresholds"}
    return {"defaults": defaults, "overrides": []}


def _options(kind):
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
                "graphMode": "area", "textMode": "auto"}
    if kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"}}


def _targets(given, labels):
    found = []
    for index, (legend, query) in enumerate(given["queries"].items()):
        target = {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expand(query, labels),
                  "legendFormat": legend or "__auto"}
        if given["kind"] == "table":
            target |= {"format": "table", "instant": True}
        found.append(target)
    return found


def _model(given, number, x, y, labels):
    place = {"h": given["height"], "w": given["width"], "x": x, "y": y}
    if given["kind"] == "row":
        return {"id": number, "type": "row", "title": given["title"], "collapsed": False, "gridPos": place, "panels": []}
    return {"id": number, "type": given["kind"], "title": given["title"], "description": given["meaning"],
            "datasource": DATASOURCE, "gridPos": place, "fieldConfig": _fields(given), "options": _options(given["kind"]),
            "targets": _targets(given, labels)}


def _laid_out(panels, labels):
    """Panels from left to right, a new line where one does not fit or a row begins."""
    models, x, y, tallest = [], 0, 0, 0
    for number, given in enumerate(panels, start=1):
        if x + given["width"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        models.append(_model(given, number, x, y, labels))
        x, tallest = x + given["width"], max(tallest, given["height"])
    return models


def dashboard(uid, title, meaning, panels, variables, labels=CLUSTER):
    """The JSON that Grafana imports, as text."""
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {},
              "options": [], "refresh": 1, "regex": "", "hide": 0}
    links = [{"title": "Millrace", "type": "dashboards", "tags": ["millrace"], "asDropdown": True, "includeVars": True,
              "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}]
    model = {"uid": uid, "title": title, "description": meaning, "tags": ["millrace"], "timezone": "browser", "editable": True,
             "graphTooltip": 1, "refresh": "30s", "schemaVersion": 39, "version": 1, "time": {"from": "now-1h", "to": "now"},
             "timepicker": {}, "annotations": {"list": []}, "links": links, "templating": {"list": [source, *variables]},
             "panels": _laid_out(panels, labels)}
    return _written(model)


def _written(model):
    """A line for each panel, so that a change is seen as one."""
    lines = []
    for key, value in model.items():
        if key == "panels":
            value = "[\n" + ",\n".join("  " + json.dumps(one) for one in value) + "\n ]"
        else:
            value = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {value}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
