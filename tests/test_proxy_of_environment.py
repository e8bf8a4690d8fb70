"""Which proxy the environment names for a URL."""

import traceback

import pytest

from batch_resend.errors import SettingsError
from batch_resend.settings import proxy_of_environment


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Have these variables of all that name proxies, and no others."""
    for name in ("http", "https", "all", "no"):
        for spelled in (name, name.upper()):
            monkeypatch.delenv(f"{spelled}_proxy", raising=False)
            monkeypatch.delenv(f"{spelled}_PROXY", raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)


@pytest.mark.parametrize(
    ("named", "proxy"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example"),
        ("HTTP://proxy.example:3128/", "HTTP://proxy.example:3128/"),
        ("https://proxy.example:3129", "https://proxy.example:3129"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://user:p%40ss@10.0.0.1:3128", "http://user:p%40ss@10.0.0.1:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("user:pass@proxy.example:3128", "http://user:pass@proxy.example:3128"),
    ],
)
def test_a_proxy_is_a_host_with_or_without_port_and_password(
    monkeypatch: pytest.MonkeyPatch, named: str, proxy: str
) -> None:
    environment(monkeypatch, HTTPS_PROXY=named)
    assert proxy_of_environment("https://ca.example/v2") == proxy


@pytest.mark.parametrize(
    "named",
    [
        "socks5://user:hunter2@proxy.example:1080",
        "ftp://user:hunter2@proxy.example",
        "http://user:hunter2@",
        "http://user:hunter2@:3128",
        "http://user:hunter2@proxy.example:port",
        "http://user:hunter2@proxy.example:0",
        "http://user:hunter2@proxy.example:99999",
        "http://user:hunter2/#@proxy.example:3128",
        "http://user:hunter2?@proxy.example:3128",
        "http://user:hunter2[@proxy.example:3128",
        "http://user:hunter2@[::1",
        "http://user:hunter2@[::1]:3128]",
        "http://user:hunter2@[:::::]:3128",
        "http://user:hunter2@two words:3128",
        "http://user:hunter 2@proxy.example:3128",
        "http://user:hunter2@proxy.example:3128/path",
        "http://",
    ],
)
def test_what_is_no_proxy_is_refused_in_one_line_without_showing_its_password(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    environment(monkeypatch, HTTPS_PROXY=named)
    with pytest.raises(SettingsError) as caught:
        proxy_of_environment("https://ca.example/v2")
    assert "http://HOST:PORT" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter" not in "".join(traceback.format_exception(caught.value))


def test_the_schemes_own_proxy_goes_before_that_of_all_and_another_schemes_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment(monkeypatch, HTTP_PROXY="http://http.example", ALL_PROXY="http://all.example")
    assert proxy_of_environment("https://ca.example/v2") == "http://all.example"
    monkeypatch.setenv("https_proxy", "http://own.example")
    assert proxy_of_environment("https://ca.example/v2") == "http://own.example"
    environment(monkeypatch, HTTP_PROXY="http://http.example")
    assert proxy_of_environment("https://ca.example/v2") is None


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:8443/v2", "https://localhost/v2", "https://[::1]:8443", "http://127.9.9.9"],
)
def test_loopback_has_no_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    proxy = "http://proxy.example:3128"
    environment(monkeypatch, HTTP_PROXY=proxy, HTTPS_PROXY=proxy, ALL_PROXY=proxy)
    assert proxy_of_environment(url) is None
