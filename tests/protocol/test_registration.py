"""The client's side of registration."""

import msgspec
import pytest

from grue.errors import (
    CodeExpired,
    CodeWrong,
    GrueError,
    ProtocolViolation,
    ServerChanged,
    TimedOut,
    TooManyCodes,
    TooManyGuesses,
    Unreachable,
)
from grue.protocol.registration import Registration, RegistrationState, check_server
from grue.protocol.wire import Registered, RegisterFinish, RegisterStart, ServerHello

NEW = Registration("+447700900123", b"i" * 32, b"signed list", b"h" * 32, b"s" * 32)
ASKING = NEW.ask()[0]
SENT = ASKING.code_sent()
VERIFYING = SENT.verify("123456")[0]


def test_a_registration_from_start_to_end() -> None:
    asking, start = NEW.ask()
    assert start == RegisterStart("+447700900123", b"i" * 32)
    verifying, finish = asking.code_sent().verify("123456")
    assert finish == RegisterFinish("+447700900123", "123456", b"signed list", b"h" * 32, True)
    done = verifying.registered(Registered(b"a" * 16))
    assert (done.state, done.account) == (RegistrationState.REGISTERED, b"a" * 16)


@pytest.mark.parametrize("typed", ["123456", " 123456\n", "123 456", "123-456", "12 34 56"])
def test_a_code_is_taken_as_it_is_typed(typed: str) -> None:
    assert SENT.verify(typed)[1].code == "123456"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "12345a", "１２３４５６", "123.456"])
def test_registration_01_what_is_no_code_costs_no_guess(typed: str) -> None:
    with pytest.raises(CodeWrong):
        SENT.verify(typed)


def test_a_wrong_code_can_be_tried_again() -> None:
    again = VERIFYING.failed(CodeWrong())
    assert again.state is RegistrationState.CODE_SENT
    assert again.verify("654321")[1].code == "654321"


def test_an_expired_code_needs_a_new_one() -> None:
    expired = VERIFYING.failed(CodeExpired())
    assert expired.state is RegistrationState.IDLE
    with pytest.raises(ProtocolViolation):
        expired.verify("123456")
    assert expired.ask()[0].state is RegistrationState.ASKING


@pytest.mark.parametrize("error", [TimedOut(), Unreachable()])
def test_a_lost_answer_leaves_everything_possible(error: GrueError) -> None:
    # The SMS may have gone, and the account may have been made: both can be done again.
    assert ASKING.failed(error).verify("123456")[0].state is RegistrationState.VERIFYING
    assert VERIFYING.failed(error).verify("123456")[0].state is RegistrationState.VERIFYING
    assert VERIFYING.failed(error).ask()[0].state is RegistrationState.ASKING


@pytest.mark.parametrize("error", [TooManyCodes(), TooManyGuesses()])
def test_a_refused_code_leaves_nothing_to_verify(error: GrueError) -> None:
    with pytest.raises(ProtocolViolation):
        ASKING.failed(error).verify("123456")


@pytest.mark.parametrize("state", [ASKING, VERIFYING])
def test_a_crash_between_request_and_answer_ends_nothing(state: Registration) -> None:
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Registration)
    assert stored == state
    assert stored.ask()[0].state is RegistrationState.ASKING


def test_no_code_is_verified_before_one_was_asked_for() -> None:
    with pytest.raises(ProtocolViolation):
        NEW.verify("123456")


def test_a_registered_account_does_not_register_again() -> None:
    done = VERIFYING.registered(Registered(b"a" * 16))
    with pytest.raises(ProtocolViolation):
        done.ask()
    with pytest.raises(ProtocolViolation):
        done.verify("123456")


def test_registration_02_a_server_with_another_key_is_refused() -> None:
    check_server(ServerHello([1], b"s" * 32), NEW.server_public)
    with pytest.raises(ServerChanged):
        check_server(ServerHello([1], b"x" * 32), NEW.server_public)
