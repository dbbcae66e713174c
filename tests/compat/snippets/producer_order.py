from kafka import KafkaProducer
import json

producer = KafkaProducer(
    bootstrap_servers='localhost:9092',
    value_serializer=lambda v: json.dumps(v).encode('utf-8')
)

order = {"order_id": 1, "product": "Laptop", "amount": 1200}
producer.send('order_topic', value=order)
producer.flush()
