"""What is printed or shown as a picture: QR codes, posters, label sheets."""
