"""Padding, delivery states, and when an SMS may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadEnvelope, ConsentNeeded, EncryptedContact, RouteUnknown, TooLarge
from grue.protocol.conversation import delivery, fallback
from grue.protocol.conversation.delivery import MessageEvent, MessageState
from grue.protocol.conversation.fallback import FallbackState, Route, decide
from grue.protocol.conversation.padding import pad, unpad
from grue.protocol.wire import ENVELOPE_BUCKETS


@given(st.binary(max_size=65_000), st.sampled_from([0, 16]))
def test_padding_fills_a_bucket_and_comes_off_again(payload: bytes, overhead: int) -> None:
    padded = pad(payload, overhead)
    assert len(padded) + overhead in ENVELOPE_BUCKETS
    assert unpad(padded) == payload


@given(st.binary(max_size=1024))
def test_any_bytes_unpad_to_what_pad_made_or_are_refused(padded: bytes) -> None:
    try:
        payload = unpad(padded)
    except BadEnvelope:
        return
    assert padded[4 : 4 + len(payload)] == payload
    assert not any(padded[4 + len(payload) :])


def test_a_payload_over_the_largest_bucket_is_refused() -> None:
    with pytest.raises(TooLarge):
        pad(bytes(ENVELOPE_BUCKETS[-1] - 3))


@pytest.mark.parametrize("consent", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_fallback_01_an_unknown_route_sends_nothing_whatever_the_consent(consent: bool, before: bool) -> None:
    with pytest.raises(RouteUnknown):
        decide(Route.UNKNOWN, consent=consent, encrypted_before=before)


@pytest.mark.parametrize("consent", [False, True])
def test_fallback_02_a_contact_once_encrypted_does_not_fall_back(consent: bool) -> None:
    with pytest.raises(EncryptedContact):
        decide(Route.SMS, consent=consent, encrypted_before=True)


def test_fallback_03_an_absent_number_needs_consent() -> None:
    with pytest.raises(ConsentNeeded):
        decide(Route.SMS, consent=False, encrypted_before=False)
    assert decide(Route.SMS, consent=True, encrypted_before=False) is Route.SMS


@pytest.mark.parametrize("consent", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_a_found_number_goes_encrypted_whatever_the_consent(consent: bool, before: bool) -> None:
    assert decide(Route.ENCRYPTED, consent=consent, encrypted_before=before) is Route.ENCRYPTED


def test_no_way_through_the_table_leads_from_unknown_to_sms() -> None:
    assert fallback.TABLE[FallbackState.UNKNOWN] == {}
    into_sms = {state for state, events in fallback.TABLE.items() if FallbackState.SMS in events.values()}
    assert into_sms == {FallbackState.ABSENT}


def test_no_event_makes_a_delivered_message_anything_else() -> None:
    assert set(delivery.TABLE[MessageState.DELIVERED].values()) == {MessageState.DELIVERED}


def test_an_unknown_sms_is_never_submitted_again_by_a_table() -> None:
    assert MessageState.SUBMITTING not in set(delivery.TABLE[MessageState.UNKNOWN].values())
    assert MessageEvent.ANSWER_LOST not in delivery.TABLE[MessageState.SUBMITTED]
