"""The dashboard: a face that draws snapshots and knows nothing else.

`app` is small; `screens` own their handlers; `kinds` says, for each kind of row, its columns, its order and its page of
reasons; `widgets` draw lines and know no finance.
"""
