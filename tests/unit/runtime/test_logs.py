from __future__ import annotations

import logging

import pytest

from bentofn.runtime.logs import show_services_logs


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    logger = logging.getLogger("bentoml")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    return logger


def test_what_a_service_logs_is_shown_once(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    show_services_logs()
    show_services_logs()
    logging.getLogger("bentoml.service").info("loaded %d", 3)
    assert capsys.readouterr().err.splitlines()[0].endswith("[INFO] loaded 3")
    assert len(logger.handlers) == 1


def test_a_logger_that_is_set_up_stays(logger: logging.Logger) -> None:
    logger.setLevel(logging.ERROR)
    show_services_logs()
    assert (logger.handlers, logger.level) == ([], logging.ERROR)
