from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import bentofn
from bentofn.models import BentoModel, HuggingFaceModel
from bentofn.runtime.config import EnvVar
from bentofn.runtime.errors import UserError


class Base:
    @bentofn.api
    def inherited(self) -> str:
        return "base"

    @bentofn.api
    def replaced(self) -> str:
        return "base"


@bentofn.service
class Bare(Base):
    """Says hello."""

    model = BentoModel("nobody-has-this:latest")
    other = HuggingFaceModel("org/name")

    def __init__(self) -> None:
        self.greeting = "hello"

    @bentofn.api
    def greet(self, name: str) -> str:
        return f"{self.greeting} {name}"

    def replaced(self) -> str:
        return "no endpoint any more"

    @staticmethod
    def helper() -> int:
        return 1


def test_the_bare_decorator_makes_a_service_of_the_class() -> None:
    assert isinstance(Bare, bentofn.Service)
    assert Bare.name == "Bare"
    assert Bare.inner.__name__ == "Bare"
    assert Bare.import_string == f"{__name__}:Bare"
    assert Bare.config == {}


def test_a_call_makes_a_local_instance() -> None:
    instance = Bare()
    assert isinstance(instance, Bare.inner)
    assert instance.greeting == "hello"
    assert instance.greet("you") == "hello you"
    assert instance.helper() == 1


def test_inherited_endpoints_count_and_replaced_ones_do_not() -> None:
    assert list(Bare.apis) == ["inherited", "greet"]


def test_models_are_listed_without_being_resolved() -> None:
    assert [model.tag for model in Bare.models] == ["nobody-has-this:latest", "hf:org/name@main"]


def test_a_service_can_be_inherited_from() -> None:
    @bentofn.service
    class Child(Bare):  # type: ignore[misc, valid-type]
        @bentofn.api
        def more(self) -> str:
            return "more"

    assert list(Child.apis) == ["inherited", "greet", "more"]
    assert issubclass(Child.inner, Bare.inner)


def test_arguments_of_the_decorator() -> None:
    @bentofn.service(
        name="named",
        description="text",
        path_prefix="v1/",
        envs=[{"name": "KEY", "value": 1, "stage": "build"}, {"name": "TOKEN"}],
        labels={"team": "a"},
        traffic={"timeout": 5, "max_concurrency": 3},
        resources={"gpu": 1, "gpu_type": "nvidia-l4"},
        workers="cpu_count",
    )
    class Service:
        pass

    assert (Service.name, Service.description, Service.path_prefix) == ("named", "text", "/v1")
    assert Service.envs == [EnvVar("KEY", "1", "build"), EnvVar("TOKEN")]
    assert Service.labels == {"team": "a"}
    assert Service.config["resources"] == {"gpu": 1, "gpu_type": "nvidia-l4"}


def test_what_cannot_be_a_service() -> None:
    with pytest.raises(UserError, match="is for classes"):
        bentofn.service(lambda: None)  # type: ignore[arg-type, call-overload]
    with pytest.raises(TypeError, match="only be applied once"):
        bentofn.service(Bare)  # type: ignore[arg-type]


def test_a_service_made_by_hand_may_be_changed() -> None:
    class Other(Bare.inner):  # type: ignore[misc, name-defined]
        pass

    made = bentofn.Service("made", {"workers": 2}, Bare.inner, cmd=["serve", "--fast"])
    made.inner = Other
    made.config["traffic"] = {"timeout": 5}
    assert (made.name, made.cmd, made.has_custom_command()) == ("made", ["serve", "--fast"], True)
    assert list(made.apis) == ["inherited", "greet"]
    assert isinstance(made(), Other)
    assert made in {made: 1}


def test_a_class_of_services_of_ones_own() -> None:
    class Mine(bentofn.Service[Any]):
        pass

    declared = bentofn.service(service_class=Mine)(Bare.inner)
    assert type(declared) is Mine


def test_an_instance_knows_its_service() -> None:
    assert Bare().bento_service is Bare  # type: ignore[attr-defined]


renamed = bentofn.service(name="renamed")(Base)


def test_a_service_is_imported_by_the_variable_that_holds_it() -> None:
    assert renamed.import_string == f"{__name__}:renamed"
    with pytest.raises(UserError, match="assign it to a variable of a module"):
        bentofn.Service("lost").import_string  # noqa: B018


def test_a_service_of_an_imported_class_knows_where_it_is_declared() -> None:
    assert bentofn.service(Fraction).declared_in == __name__
    assert bentofn.service(name="named")(Fraction).declared_in == __name__
    assert bentofn.Service("bare", inner=Fraction).declared_in == __name__


def test_a_service_tells_its_schema_and_mounts() -> None:
    schema = Bare.schema()
    assert [route["route"] for route in schema["routes"]] == ["/greet", "/inherited"]
    made = bentofn.Service("made", path_prefix="v1")
    made.mount_asgi_app(print, "/app", "name")
    assert made.mount_apps == [(print, "/v1/app", "name")]
