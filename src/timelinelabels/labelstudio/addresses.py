"""Which hosts media may come from, and which address of such a host is connected to.

A name says nothing of where it leads: whoever owns it can point it at this machine or its network, and
may do so after it was checked. So a host's name is resolved once, its addresses are checked, and the
connection goes to the one that passed.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import httpx

from timelinelabels.errors import DownloadError, MediaForbiddenError, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, kw_only=True)
class AllowedHosts:
    """ALLOWED_MEDIA_HOSTS, understood: `host`, `host:port`, `*.domain`, an address or a network."""

    names: frozenset[str] = frozenset()
    # What follows the `*` of a pattern, for example ".example.org".
    suffixes: tuple[str, ...] = ()
    # Private addresses that are admitted all the same.
    networks: tuple[Network, ...] = field(default=())

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """From the setting's entries.

        Raises:
            SettingsError: an entry with a slash is no network, or a star stands elsewhere.
        """
        names, suffixes, networks = set(), [], []
        for entry in sorted(item.lower() for item in entries):
            if "/" in entry:
                try:
                    networks.append(ipaddress.ip_network(entry, strict=False))
                except ValueError:
                    raise SettingsError(
                        f"ALLOWED_MEDIA_HOSTS: {entry!r} is no network; accepted: host, host:port, "
                        "*.domain, an address, or a network like 10.0.0.0/8"
                    ) from None
            elif entry.startswith("*.") and "*" not in entry[1:]:
                suffixes.append(entry[1:])
            elif "*" in entry:
                raise SettingsError(
                    f"ALLOWED_MEDIA_HOSTS: {entry!r}: a star may only stand for what precedes a "
                    "domain, like *.example.org"
                )
            else:
                names.add(entry)
                if (address := _address(entry)) is not None:
                    networks.append(ipaddress.ip_network(address))
        return cls(names=frozenset(names), suffixes=tuple(suffixes), networks=tuple(networks))

    def lists(self, url: httpx.URL) -> bool:
        """Whether the host of an address is listed."""
        try:
            hosts = {url.host.lower(), url.raw_host.decode("ascii").lower()}
        except UnicodeError:  # xn--… that decodes to no name
            return False
        port = url.port or _DEFAULT_PORTS.get(url.scheme)
        written = {name for host in hosts for name in (host, f"[{host}]")}
        if not self.names.isdisjoint(written | {f"{name}:{port}" for name in written}):
            return True
        if any(host.endswith(self.suffixes) for host in hosts if self.suffixes):
            return True
        address = _address(url.host)
        return address is not None and self._explicit(address)

    def addresses(self, url: httpx.URL) -> list[str]:
        """The addresses of a listed host that may be connected to.

        Raises:
            MediaForbiddenError: all are private or reserved, and none is listed.
            DownloadError: the name has no address.
        """
        literal = _address(url.host)
        if literal is not None and self.lists(url):
            return [str(literal)]  # written out in the setting, with or without a port
        port = url.port or _DEFAULT_PORTS[url.scheme]
        try:
            found = socket.getaddrinfo(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise DownloadError(f"{url.host}: the name has no address ({error})") from None
        addresses = [address for item in found if (address := _address(str(item[4][0])))]
        admitted = [item for item in addresses if self._explicit(item) or _is_public(item)]
        if not admitted:
            shown = ", ".join(dict.fromkeys(str(item) for item in addresses))
            raise MediaForbiddenError(
                f"{url.host} leads to {shown}: private and reserved addresses are refused; if that "
                f"is meant, add the address, or its network, to ALLOWED_MEDIA_HOSTS too"
            )
        return list(dict.fromkeys(str(item) for item in admitted))

    def _explicit(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self.networks
        )


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _is_public(address: Address) -> bool:
    """Whether an address is one of the internet, also where it wraps one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return _is_public(wrapped)
    return address.is_global and not address.is_multicast
