"""What defenses keep of a backdoor, with the paper's split and with the chosen detectors'."""
