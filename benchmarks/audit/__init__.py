"""What an audit of a folder of photographs says, finds and costs, stamped or not."""
