"""One suite for two kinds of gateways: those in memory and those of Google's services, which must agree."""
