"""What can go wrong about endpoints, as problem details. Called by the routes of endpoints and deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from citybrain.endpoints.addresses import TargetRefused
from citybrain.endpoints.manage import Closed, EndpointRefused, NameTaken, NoEndpoint, NotForRobots, OfTheProfile
from citybrain.endpoints.secret import SecretRefused
from citybrain.web import Problem, invalid


@contextmanager
def as_problems() -> Iterator[None]:
    """Raise Problem in place of an error about an endpoint."""
    try:
        yield
    except NoEndpoint as error:
        raise Problem(404, str(error)) from error
    except (NameTaken, OfTheProfile, Closed) as error:
        raise Problem(409, str(error)) from error
    except TargetRefused as error:
        raise invalid("url", str(error)) from error
    except SecretRefused as error:
        raise invalid("secret", str(error)) from error
    except NotForRobots as error:
        raise invalid("heartbeat", str(error)) from error
    except EndpointRefused as error:
        raise invalid("name", str(error)) from error
