"""Images that are no plain files of a folder: members of archives, URLs, names in lists."""
