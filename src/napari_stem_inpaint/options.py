"""Command-line options from the parameter models: one for each field."""

from __future__ import annotations

import argparse
from typing import Any, Literal, TypeVar, get_args, get_origin

from .params import Params

P = TypeVar("P", bound=Params)


def add_options(parser: argparse.ArgumentParser, model: type[Params]) -> None:
    """Add an option for every field of ``model``, with its default, choices, unit and effect, under the titles of its groups."""
    titled: dict[str, Any] = {"": parser}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        unit, group = (str(extra.get(key, "")) if isinstance(extra, dict) else "" for key in ("unit", "group"))
        if group not in titled:
            titled[group] = parser.add_argument_group(group)
        default = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        text = f"{field.description} [{default}{' ' + unit if unit else ''}]".replace("%", "%%")
        keywords: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        kind: Any = field.annotation
        if kind is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif get_origin(kind) is Literal:
            keywords["choices"] = get_args(kind)
        elif get_origin(kind) is tuple:
            keywords |= {"nargs": len(get_args(kind)), "type": int, "metavar": ("ROWS", "COLUMNS")}
        else:
            keywords |= {"type": kind, "metavar": unit or kind.__name__.upper() if kind is not str else "NAME"}
        titled[group].add_argument("--" + name.replace("_", "-"), **keywords)


def collect(options: argparse.Namespace, model: type[P], base: P | None = None) -> P:
    """Build ``model`` from the options that were given; the others are those of ``base``, or the model's defaults."""
    given = {k: v for k, v in vars(options).items() if k in model.model_fields}
    return model.model_validate({**(base.model_dump() if base else {}), **given})


def slug(name: str) -> str:
    """Return what a ready-made choice is called on the command line."""
    return name.partition(":")[0].lower().replace(",", "").replace(" ", "-")
