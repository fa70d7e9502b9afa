"""What the integration tests share: brokers, ferryd, foreign clients, and the checker."""
