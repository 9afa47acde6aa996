import binascii

from ganglion import signed


def mac(key, text):
    return binascii.hexlify(signed.hmac(key, text)).decode()


def test_hmac_is_that_of_the_rfc():
    # RFC 4231, test cases 1, 2 and 6.
    assert mac(b"\x0b" * 20, b"Hi There") == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    assert mac(b"Jefe", b"what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    long = b"Test Using Larger Than Block-Size Key - Hash Key First"
    assert mac(b"\xaa" * 131, long) == (
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )


def test_the_slot_that_is_not_in_use():
    from ganglion import slots

    assert [slots.other(s) for s in ("", "/a", "/b")] == ["/a", "/b", "/a"]
