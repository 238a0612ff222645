"""The reading API: what was measured where and when, read from the tables that aggregate writes. It changes nothing."""
