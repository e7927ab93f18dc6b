"""Images on the disk: finding them, judging their headers, decoding them.

    scan        the image files under a folder
    decode      the one way from a file to pixels of a wanted size
    digest      whether two files hold the same image bit for bit
    header      what a file says it is, judged before anything is decoded
    limits      how much a file may ask for; bounds counts it before a decoder sees the file
    rgb         from what a decoder hands over to upright 8-bit RGB
    resize      one rule for making images smaller or larger
    formats     which files are images, by name and by first bytes
    jpeg, jxl, netpbm, raw, tiff    what single formats need of their own
    containers  the facts that are read from a file's bytes without a decoder
    companions  which files belong to an image by their names
    silence     decoders keep their remarks to themselves

Nothing is imported here, so that looking for files costs no decoder.
"""
