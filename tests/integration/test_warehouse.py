def test_clone(warehouse):
    assert warehouse.execute("select count(*) from raw.orders") == [(0,)]
def test_cdnow(cdnow_data):
    print(cdnow_data)
