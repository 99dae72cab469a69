"""What a service promises, as plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bentofn.runtime.hooks import marked
from bentofn.runtime.io.spec import build_spec
from bentofn.runtime.manifest import APIContract, ServiceContract
from bentofn.runtime.service import Service


def describe(service: Service[Any]) -> ServiceContract:
    """Describe the entry of a bento, with what it depends on, without making an instance.

    The entry's contract has the models and variables of all, since one bento carries them.

    Raises:
        UserError: An endpoint's annotation cannot be served.
        BentoMLConfigException: Two services have one name.
    """
    if hasattr(service, "contract"):
        own: ServiceContract = service.contract()
        return own
    own = _describe_one(service)
    others = [
        _describe_one(each)
        for each in service.all_services(exclude_urls=True).values()
        if each is not service
    ]
    if not others:
        return own
    each_of_all = (own, *others)
    return replace(
        own,
        models=tuple(dict.fromkeys(model for each in each_of_all for model in each.models)),
        envs={name: value for each in reversed(each_of_all) for name, value in each.envs.items()},
        has_deployment_hook=any(each.has_deployment_hook for each in each_of_all),
        services=tuple(sorted(others, key=lambda each: each.name)),
    )


def _describe_one(service: Service[Any]) -> ServiceContract:
    specs = [build_spec(method) for method in service.apis.values()]
    return ServiceContract(
        name=service.name,
        import_string=service.import_string,
        config=service.config,
        apis=tuple(
            APIContract(
                name=spec.method.name,
                route=spec.method.route,
                input_schema=spec.input.schema,
                output_schema=spec.output.schema,
                batchable=spec.method.batchable,
                batch_dim=spec.method.batch_dim,
                max_batch_size=spec.method.max_batch_size,
                max_latency_ms=spec.method.max_latency_ms,
                is_stream=spec.signature.is_stream,
                doc=spec.method.doc,
                examples=spec.method.examples,
                is_task=spec.method.is_task,
            )
            for spec in specs
        ),
        models=tuple(model.tag for model in service.models if model.export is None),
        has_deployment_hook=bool(marked(service.inner, "on_deployment")),
        path_prefix=service.path_prefix,
        envs={env.name: env.value for env in service.envs if env.stage != "build"},
        labels=dict(service.labels),
        dependencies={
            name: each.url or (each.on.name if each.on is not None else "")
            for name, each in service.dependencies.items()
        },
    )
