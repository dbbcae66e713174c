from kafka import KafkaConsumer

consumer = KafkaConsumer('order_topic', bootstrap_servers='localhost:9092')

for message in consumer:
    print(message.value.decode())
