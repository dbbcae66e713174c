package main

import (
	"context"
	"encoding/json"
	"sort"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

var codecs = map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

// chosenOrMurmur2 puts a record where the test says, else where the Java client would put its key.
type chosenOrMurmur2 struct{ hash kafka.Murmur2Balancer }

func (b chosenOrMurmur2) Balance(message kafka.Message, partitions ...int) int {
	if chosen, told := message.WriterData.(*int); told && chosen != nil {
		return *chosen
	}
	return b.hash.Balance(message, partitions...)
}

func acksOf(text json.RawMessage) kafka.RequiredAcks {
	switch string(text) {
	case "0":
		return kafka.RequireNone
	case "1":
		return kafka.RequireOne
	}
	return kafka.RequireAll
}

func produce(ctx context.Context, command Command) (answer, error) {
	writer := &kafka.Writer{
		Addr: kafka.TCP(command.brokers()...), Topic: command.Topic, Balancer: chosenOrMurmur2{}, RequiredAcks: acksOf(command.Acks),
		Compression: codecs[command.Codec], BatchTimeout: 5 * time.Millisecond, BatchBytes: 8 << 20,
		AllowAutoTopicCreation: true,
	}
	defer writer.Close()
	messages := make([]kafka.Message, len(command.Records))
	for i, record := range command.Records {
		messages[i] = kafka.Message{Key: record.Key, Value: record.Value, WriterData: record.Partition}
		if record.Timestamp > 0 {
			messages[i].Time = time.UnixMilli(record.Timestamp)
		}
		for _, header := range record.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: header.Name, Value: header.Value})
		}
	}
	return nil, writer.WriteMessages(ctx, messages...)
}

func partitionsOf(ctx context.Context, command Command) ([]int, error) {
	var told []int
	if json.Unmarshal(command.Partitions, &told) == nil && told != nil {
		return told, nil
	}
	found, err := client(command).Metadata(ctx, &kafka.MetadataRequest{Topics: []string{command.Topic}})
	if err != nil {
		return nil, err
	}
	for _, partition := range found.Topics[0].Partitions {
		told = append(told, partition.ID)
	}
	sort.Ints(told)
	return told, nil
}

func position(ctx context.Context, reader *kafka.Reader, start json.RawMessage) error {
	var name string
	if len(start) == 0 || json.Unmarshal(start, &name) == nil {
		if name == "latest" {
			return reader.SetOffset(kafka.LastOffset)
		}
		return reader.SetOffset(kafka.FirstOffset)
	}
	var from struct {
		Offset    *int64 `json:"offset"`
		Timestamp int64  `json:"timestamp"`
	}
	if err := json.Unmarshal(start, &from); err != nil {
		return err
	}
	if from.Offset != nil {
		return reader.SetOffset(*from.Offset)
	}
	return reader.SetOffsetAt(ctx, time.UnixMilli(from.Timestamp))
}

func consume(ctx context.Context, command Command) (answer, error) {
	partitions, err := partitionsOf(ctx, command)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan kafka.Message)
	failed := make(chan error, len(partitions))
	var readers sync.WaitGroup
	for _, partition := range partitions {
		readers.Add(1)
		go func(partition int) {
			defer readers.Done()
			if err := readInto(ctx, command, partition, found); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}(partition)
	}
	defer readers.Wait()
	defer cancel()
	records := []Record{}
	for len(records) < command.Count {
		select {
		case message := <-found:
			records = append(records, recordOf(message))
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return answer{"records": records}, nil
		}
	}
	return answer{"records": records}, nil
}

func readInto(ctx context.Context, command Command, partition int, found chan<- kafka.Message) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: command.brokers(), Topic: command.Topic, Partition: partition,
		MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 200 * time.Millisecond,
	})
	defer reader.Close()
	if err := position(ctx, reader, command.Start); err != nil {
		return err
	}
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		select {
		case found <- message:
		case <-ctx.Done():
			return nil
		}
	}
}

func recordOf(message kafka.Message) Record {
	partition := message.Partition
	record := Record{
		Partition: &partition, Offset: message.Offset, Timestamp: message.Time.UnixMilli(), Key: message.Key,
		Value: message.Value, Headers: []Header{},
	}
	for _, header := range message.Headers {
		record.Headers = append(record.Headers, Header{Name: header.Key, Value: header.Value})
	}
	return record
}
