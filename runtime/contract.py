"""What a service promises, as plain data."""

from __future__ import annotations

from bentofn.runtime.hooks import marked
from bentofn.runtime.io.spec import build_spec
from bentofn.runtime.manifest import APIContract, ServiceContract
from bentofn.runtime.service import Service


def describe(service: Service[object]) -> ServiceContract:
    """Describe a service without making an instance of it.

    Raises:
        UserError: An endpoint's annotation cannot be served.
    """
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
    )
