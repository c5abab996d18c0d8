"""The office of a running firm: an HTTP interface and a web page."""
