"""What somebody who watches a running process is shown, as plain data, and only while they watch.

Knows neither ComfyUI nor a web server: whoever sends the messages hands over a function.
"""

from .activity import Activity, Work
from .feed import Feed
from .leases import Leases

__all__ = ["Activity", "Feed", "Leases", "Work"]
