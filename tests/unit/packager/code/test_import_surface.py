"""Which changes to a project's code may change what importing it does."""

from __future__ import annotations

import sys
import textwrap
from types import ModuleType

import pytest

from bentofn.packager.code.import_surface import import_surface

SERVICE = """
    import bentofn
    from helper import Encoder

    @bentofn.service
    class Echo:
        '''Repeats.'''

        def __init__(self) -> None:
            self.encoder = Encoder("OLD")

        @bentofn.api(batchable=True, examples=[{"texts": ["x"]}])
        def echo(self, texts: list[str]) -> list[str]:
            '''Says it again.'''
            return [self.run(text) for text in texts]

        def run(self, text: str) -> str:
            return text + "OLD"
    """


def surface(**files: str) -> str:
    sources = {f"{name}.py": textwrap.dedent(text).encode() for name, text in files.items()}
    return import_surface(sources, {})


def unchanged(text: str, old: str, new: str) -> bool:
    assert old in text
    return surface(service=text) == surface(service=text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('text + "OLD"', "text * 2"),
        ('Encoder("OLD")', 'Encoder("NEW")'),
        ("[self.run(text) for text in texts]", "list(map(self.run, texts))"),
        ("import bentofn\n", "import bentofn  # a comment\n"),
    ],
)
def test_a_body_that_only_a_call_runs_is_left_out(old: str, new: str) -> None:
    assert unchanged(SERVICE, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batchable=True", "batchable=False"),
        ("texts: list[str]", "texts: list[int]"),
        ("-> list[str]", "-> list[int]"),
        ("Says it again.", "Says it."),
        ('{"texts": ["x"]}', '{"texts": ["y"]}'),
        ("import bentofn\n", "import bentofn\nimport os\n"),
        ("return [self.run(text) for text in texts]", "yield from texts"),
        ("def echo", "async def echo"),
        ("def run", "def walk"),
        ("class Echo", "class Echoes"),
    ],
)
def test_what_the_contract_shows_is_kept(old: str, new: str) -> None:
    assert not unchanged(SERVICE, old, new)


# Each of these projects leaves another value in its module's ``seen`` when OLD becomes NEW.
RUNS_AT_IMPORT = {
    "module-level call": """
        def helper():
            return "OLD"
        seen = helper()
        """,
    "call through another function": """
        def inner():
            return "OLD"
        def outer():
            return inner()
        seen = outer()
        """,
    "decorator": """
        seen = []
        def run_now(function):
            seen.append(function())
            return function
        @run_now
        def helper():
            return "OLD"
        """,
    "decorator's own body": """
        seen = []
        def register(function):
            seen.append("OLD")
            return function
        @register
        def helper():
            return 1
        """,
    "decorator factory": """
        seen = []
        def factory(times):
            def decorate(function):
                seen.append(function() * times)
                return function
            return decorate
        @factory(2)
        def helper():
            return "OLD"
        """,
    "class decorator": """
        seen = []
        def start(cls):
            seen.append(cls().work())
            return cls
        @start
        class Worker:
            def work(self):
                return "OLD"
        """,
    "constructor through a class decorator": """
        seen = []
        def start(cls):
            seen.append(cls().value)
            return cls
        @start
        class Worker:
            def __init__(self):
                self.value = "OLD"
        """,
    "metaclass": """
        class Meta(type):
            def __new__(meta, name, bases, body):
                cls = super().__new__(meta, name, bases, body)
                cls.value = cls.make()
                return cls
        class Thing(metaclass=Meta):
            @classmethod
            def make(cls):
                return "OLD"
        seen = Thing.value
        """,
    "metaclass constructor": """
        class Meta(type):
            def __init__(cls, name, bases, body):
                cls.value = "OLD"
        class Thing(metaclass=Meta):
            pass
        seen = Thing.value
        """,
    "__init_subclass__": """
        class Base:
            def __init_subclass__(cls):
                cls.value = cls.make()
            @classmethod
            def make(cls):
                return ""
        class Thing(Base):
            @classmethod
            def make(cls):
                return "OLD"
        seen = Thing.value
        """,
    "__set_name__": """
        class Field:
            def __set_name__(self, owner, name):
                owner.value = owner.make()
        class Thing:
            field = Field()
            @classmethod
            def make(cls):
                return "OLD"
        seen = Thing.value
        """,
    "default argument": """
        def compute():
            return "OLD"
        def helper(value=compute()):
            return value
        seen = helper.__defaults__
        """,
    "annotation": """
        def kind():
            return "OLD"
        def helper(value: kind()):
            return value
        seen = helper.__annotations__
        """,
    "lambda": """
        def compute():
            return "OLD"
        seen = (lambda: compute())()
        """,
    "comprehension": """
        def compute(x):
            return "OLD" * x
        seen = [compute(x) for x in range(2)]
        """,
    "conditional definition": """
        try:
            import a_module_that_is_not_there
        except ImportError:
            def fallback():
                return "OLD"
        seen = fallback()
        """,
    "alias": """
        def compute():
            return "OLD"
        other = compute
        seen = other()
        """,
    "name in a string": """
        import sys
        def compute():
            return "OLD"
        seen = getattr(sys.modules["project"], "compute")()
        """,
    "computed name": """
        class Tools:
            @staticmethod
            def compute():
                return "OLD"
        seen = getattr(Tools, "com" + "pute")()
        """,
    "globals": """
        def compute():
            return "OLD"
        seen = [value() for name, value in list(globals().items()) if name.startswith("comp")]
        """,
    "eval": """
        def compute():
            return "OLD"
        seen = eval("com" + "pute()")
        """,
    "own module as a value": """
        import sys
        def compute():
            return "OLD"
        seen = [v() for n, v in sorted(sys.modules[__name__].__dict__.items()) if n == "compute"]
        """,
    "class-level call": """
        def compute():
            return "OLD"
        class Thing:
            value = compute()
        seen = Thing.value
        """,
    "special method by an operator": """
        class Number:
            def __add__(self, other):
                return "OLD"
        one = Number()
        seen = one + one
        """,
    "constructor": """
        class Thing:
            def __init__(self):
                self.value = "OLD"
        seen = Thing().value
        """,
    "method that somebody else calls by its name": """
        class Upper(list):
            def __str__(self):
                return "OLD"
        class Writer:
            def write(self, text):
                self.text = "OLD"
        seen_writer = Writer()
        print("x", file=seen_writer)
        seen = seen_writer.text
        """,
    "property": """
        class Thing:
            @property
            def value(self):
                return "OLD"
        seen = Thing().value
        """,
    "a builtin decorator that was replaced": """
        seen = []
        def staticmethod(function):
            seen.append(function())
            return function
        class Thing:
            @staticmethod
            def make():
                return "OLD"
        """,
    "nested class": """
        class Outer:
            class Inner:
                def work(self):
                    return "OLD"
            def make(self):
                return self.Inner()
        def start(cls):
            return [getattr(cls().make(), "work")()]
        seen = start(Outer)
        """,
    "match": """
        def compute():
            return "OLD"
        match 1:
            case 1:
                seen = compute()
        """,
    "with": """
        import contextlib
        @contextlib.contextmanager
        def opened():
            yield "OLD"
        with opened() as seen:
            pass
        """,
    "sorting key": """
        def order(x):
            return (x, "OLD")
        seen = max([1, 2], key=order), [order(1)]
        """,
    "module __getattr__": """
        import sys
        def __getattr__(name):
            return "OLD"
        seen = sys.modules["project"].anything
        """,
    "Enum hook": """
        import enum
        class Kind(enum.Enum):
            def _generate_next_value_(name, start, count, last):
                return "OLD"
            FIRST = enum.auto()
        seen = Kind.FIRST.value
        """,
}


@pytest.mark.parametrize("text", RUNS_AT_IMPORT.values(), ids=RUNS_AT_IMPORT.keys())
def test_what_runs_at_import_is_kept(text: str) -> None:
    before, after = textwrap.dedent(text), textwrap.dedent(text).replace("OLD", "NEW")
    assert seen(before) != seen(after)
    assert surface(project=before) != surface(project=after)


def seen(text: str) -> str:
    module = ModuleType("project")
    sys.modules["project"] = module
    try:
        exec(compile(text, "project.py", "exec", dont_inherit=True), module.__dict__)
        return repr(module.__dict__["seen"])
    finally:
        del sys.modules["project"]


def test_a_function_that_another_file_calls_at_import_is_kept() -> None:
    helper = "def compute():\n    return 'OLD'\n"
    for user in (
        "from helper import compute\nvalue = compute()\n",
        "from helper import compute as run\nvalue = run()\n",
        "import helper\nvalue = helper.compute()\n",
        "from helper import *\nvalue = compute()\n",
        "import helper\nimport elsewhere\nelsewhere.scan(helper)\n",
        "import helper\ndef go():\n    import elsewhere\n    elsewhere.scan(helper)\ngo()\n",
    ):
        old = surface(helper=helper, service=user)
        assert old != surface(helper=helper.replace("OLD", "NEW"), service=user), user


def test_a_function_that_another_file_only_imports_is_left_out() -> None:
    helper = "def compute():\n    return 'OLD'\n"
    user = "from helper import compute\ndef later():\n    return compute()\n"
    old = surface(helper=helper, service=user)
    assert old == surface(helper=helper.replace("OLD", "NEW"), service=user)


def test_a_main_guard_calls_nothing() -> None:
    text = 'def main():\n    return "OLD"\nif __name__ == "__main__":\n    main()\n'
    assert unchanged(text, "OLD", "NEW")


def test_a_project_that_hides_the_sdk_keeps_everything() -> None:
    fake = "def api(function):\n    function()\n    return function\n"
    text = 'import bentofn\n@bentofn.api\ndef run():\n    return "OLD"\n'
    old = surface(bentofn=fake, service=text)
    assert old != surface(bentofn=fake, service=text.replace("OLD", "NEW"))


def test_an_sdk_name_that_is_bound_again_is_not_the_sdk() -> None:
    text = """
        from bentofn import api
        def api(function):
            return function()
        @api
        def run():
            return "OLD"
        """
    assert not unchanged(text, "OLD", "NEW")


def test_an_sdk_function_that_is_replaced_is_not_trusted() -> None:
    text = """
        import bentofn
        bentofn.api = lambda function: function()
        @bentofn.api
        def run():
            return "OLD"
        """
    assert not unchanged(text, "OLD", "NEW")


def test_a_file_with_a_syntax_error_counts_whole() -> None:
    assert not unchanged("def broken(:\n    OLD\n", "OLD", "NEW")


def test_other_files_count_by_digest() -> None:
    assert import_surface({}, {"a.json": "1"}) != import_surface({}, {"a.json": "2"})
    assert import_surface({}, {"a.json": "1"}) != import_surface({}, {"b.json": "1"})


def test_adding_a_file_counts() -> None:
    assert surface(service="x = 1") != surface(service="x = 1", other="")
