package main

import (
	"context"
	"encoding/json"
	"sort"
	"time"

	"github.com/segmentio/kafka-go"
)

func offsets(ctx context.Context, command Command) (answer, error) {
	wanted := []kafka.OffsetRequest{kafka.FirstOffsetOf(command.Partition), kafka.LastOffsetOf(command.Partition)}
	if command.Timestamp != nil {
		wanted = append(wanted, kafka.TimeOffsetOf(command.Partition, time.UnixMilli(*command.Timestamp)))
	}
	// The shared transport looks for topics every few seconds, and asks any broker about one that it does not know yet.
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	asking := client(command)
	asking.Transport = transport
	found, err := asking.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{command.Topic: wanted},
	})
	if err != nil {
		return nil, err
	}
	partition := found.Topics[command.Topic][0]
	if partition.Error != nil {
		return nil, partition.Error
	}
	reply := answer{"earliest": partition.FirstOffset, "latest": partition.LastOffset}
	for offset := range partition.Offsets {
		if command.Timestamp != nil && offset != partition.FirstOffset && offset != partition.LastOffset {
			reply["by_time"] = offset
		}
	}
	return reply, nil
}

func firstError(failures map[string]error, err error) error {
	if err != nil {
		return err
	}
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

func createTopic(ctx context.Context, command Command) (answer, error) {
	partitions := -1
	if len(command.Partitions) > 0 {
		if err := json.Unmarshal(command.Partitions, &partitions); err != nil {
			return nil, err
		}
	}
	topic := kafka.TopicConfig{Topic: command.Topic, NumPartitions: partitions, ReplicationFactor: command.Replication}
	if topic.ReplicationFactor == 0 {
		topic.ReplicationFactor = -1
	}
	for name, value := range command.Config {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	found, err := client(command).CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{topic}, ValidateOnly: command.ValidateOnly,
	})
	if err != nil {
		return nil, err
	}
	return nil, firstError(found.Errors, nil)
}

func deleteTopic(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{command.Topic}})
	if err != nil {
		return nil, err
	}
	return nil, firstError(found.Errors, nil)
}

func listTopics(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, topic := range found.Topics {
		names = append(names, topic.Name)
	}
	sort.Strings(names)
	return answer{"topics": names}, nil
}

func createPartitions(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: command.Topic, Count: command.Total}},
	})
	if err != nil {
		return nil, err
	}
	return nil, firstError(found.Errors, nil)
}

func getConfig(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: command.Topic}},
	})
	if err != nil {
		return nil, err
	}
	config := map[string]string{}
	for _, resource := range found.Resources {
		if resource.Error != nil {
			return nil, resource.Error
		}
		for _, entry := range resource.ConfigEntries {
			config[entry.ConfigName] = entry.ConfigValue
		}
	}
	return answer{"config": config}, nil
}

func setConfig(ctx context.Context, command Command) (answer, error) {
	resource := kafka.IncrementalAlterConfigsRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: command.Topic,
	}
	for name, value := range command.Config {
		resource.Configs = append(resource.Configs, kafka.IncrementalAlterConfigsRequestConfig{
			Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet,
		})
	}
	found, err := client(command).IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{resource},
	})
	if err != nil {
		return nil, err
	}
	for _, one := range found.Resources {
		if one.Error != nil {
			return nil, one.Error
		}
	}
	return nil, nil
}
