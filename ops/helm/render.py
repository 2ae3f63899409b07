#!/usr/bin/env python3
"""Renders the chart's templates, for a check where Helm is not at hand: render.py CHART [NAMESPACE] [--set NAME=JSON]…

Knows what this chart uses and no more: {{ toJson .Values.NAME }}, {{ .Release.Namespace }}, and a list by
{{- range .Values.NAME }} … {{ toJson . }} … {{- end }}. Anything else is an error, so that the chart stays this simple.
"""

import json
import pathlib
import re
import sys

import yaml

RANGE = re.compile(r"[ \t]*\n?[ \t]*\{\{- range \.Values\.(\w+) \}\}(.*?)[ \t]*\n?[ \t]*\{\{- end \}\}", re.S)
ACTION = re.compile(r"\{\{(.*?)\}\}")


def render(text, values, namespace):
    def value(name):
        if name not in values:
            sys.exit(f"the template asks for .Values.{name}, which values.yaml lacks")
        return values[name]

    def repeat(match):
        return "".join(match[2].replace("{{ toJson . }}", json.dumps(item)) for item in value(match[1]))

    def action(match):
        words = match[1].split()
        if words == [".Release.Namespace"]:
            return namespace
        if len(words) == 2 and words[0] == "toJson" and words[1].startswith(".Values."):
            return json.dumps(value(words[1].removeprefix(".Values.")))
        sys.exit(f"the template has {match[0]}, which this renderer does not know")

    return ACTION.sub(action, RANGE.sub(repeat, text))


def main():
    chart = pathlib.Path(sys.argv[1])
    namespace = sys.argv[2]
    values = yaml.safe_load((chart / "values.yaml").read_text())
    for name, text in (change.split("=", 1) for change in sys.argv[3:]):
        values[name] = json.loads(text)
    for template in sorted((chart / "templates").glob("*.yaml")):
        print(render(template.read_text(), values, namespace))


main()
