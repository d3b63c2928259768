"""What GS1 says of addresses: GTINs, the syntax of a Digital Link, link types, which link fits."""
