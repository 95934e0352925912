"""Failures on the way, exit code 4: another try may succeed."""

from grue.errors.base import GrueError


class NetworkError(GrueError):
    """No answer, or not now; the same again may succeed."""

    code = "network"
    exit_code = 4
    message = "The network did not answer."
    fix = "Try again."


class Unreachable(NetworkError):
    code = "unreachable"
    message = "The server cannot be reached."
    fix = "Check the server's URL and your connection."


class BadCertificate(NetworkError):
    """Of the network's kind, since a network that wants a log-in first answers like this, and then no more."""

    code = "bad_certificate"
    message = "Whoever answers there has no valid certificate for that name; nothing was sent."
    fix = "Some networks do so until you log in. Otherwise check the URL, this machine's clock, and the certificate."


class TimedOut(NetworkError):
    """An answer was lost: whether the request took effect is unknown."""

    code = "timed_out"
    message = "The server did not answer in time."
    fix = "Try again; doing it twice does no harm."


class RelayUnreachable(Unreachable):
    code = "relay_unreachable"
    message = "The relay cannot be reached; nothing was asked in another way."
    fix = "Check the relay's URL and your connection; `grue transport` changes it."


class ProxyUnreachable(Unreachable):
    code = "proxy_unreachable"
    message = "The proxy does not connect; nothing was asked without it."
    fix = "Check that the proxy (Tor, for example) is running; `grue transport` changes it."


class ServerBusy(NetworkError):
    code = "busy"
    message = "The server is busy."
    fix = "Wait a little and try again."


class EpochEnded(NetworkError):
    code = "epoch_ended"
    message = "The server has a newer directory than the one that was asked in."
    fix = "Try again; the newer one is fetched then."


class HomeBusy(NetworkError):
    """No network, but the same remedy: another process holds the database's lock for longer than it should."""

    code = "home_busy"
    message = "Another process is using this home."
    fix = "Try again when it is done."


class SmsGatewayDown(NetworkError):
    code = "sms_gateway_down"
    message = "The SMS gateway cannot be reached; the SMS was not sent."
    fix = "Try again later."


class SmsThrottled(NetworkError):
    code = "sms_throttled"
    message = "The SMS gateway asks to slow down; the SMS was not sent."
    fix = "Try again later."


class SmsMayHaveGone(NetworkError):
    """The submit's answer was lost. Never tried again by itself."""

    code = "sms_may_have_gone"
    message = "The SMS was handed over but no answer came: it may have gone."
    fix = "Ask the other side before you send it again."
