package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// MemberOptions is how a member of a group is asked for.
type MemberOptions struct {
	Assignor  string `json:"assignor"`
	Protocol  string `json:"protocol"`
	SessionMs int    `json:"session_ms"`
	Instance  string `json:"instance"`
	Commits   *bool  `json:"commits"`
}

const notesMax = 20

// member reads until it is told to leave; it commits each record and waits for the answer.
type member struct {
	reader    *kafka.Reader
	commits   bool
	stop      context.CancelFunc
	ended     chan struct{}
	lock      sync.Mutex
	records   [][2]int64
	committed map[string]int64
	notes     []string
}

var current *member

func init() {
	operations["group_start"] = groupStart
	operations["group_take"] = func(context.Context, Command) (answer, error) { return current.take(), nil }
	operations["group_stop"] = groupStop
	operations["list_groups"] = listGroups
	operations["describe_group"] = describeGroup
	operations["group_offsets"] = groupOffsets
	operations["alter_offsets"] = alterOffsets
	operations["delete_offsets"] = deleteOffsets
	operations["delete_group"] = deleteGroup
}

func groupStart(_ context.Context, command Command) (answer, error) {
	options := command.Member
	balancers := map[string]kafka.GroupBalancer{
		"": kafka.RangeGroupBalancer{}, "range": kafka.RangeGroupBalancer{}, "roundrobin": kafka.RoundRobinGroupBalancer{}}
	balancer, known := balancers[options.Assignor]
	if !known || options.Instance != "" || (options.Protocol != "" && options.Protocol != "classic") {
		return answer{"unsupported": fmt.Sprintf("member %+v", options)}, nil
	}
	if options.SessionMs == 0 {
		options.SessionMs = 6000
	}
	session := time.Duration(options.SessionMs) * time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	current = &member{
		reader: kafka.NewReader(kafka.ReaderConfig{
			Brokers: command.brokers(), GroupID: command.Group, Topic: command.Topic,
			GroupBalancers: []kafka.GroupBalancer{balancer}, SessionTimeout: session, HeartbeatInterval: session / 6,
			RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 500 * time.Millisecond, MaxWait: 100 * time.Millisecond,
			StartOffset: kafka.FirstOffset,
		}),
		commits: options.Commits == nil || *options.Commits, stop: stop, ended: make(chan struct{}),
		records: [][2]int64{}, committed: map[string]int64{}, notes: []string{},
	}
	go current.run(ctx)
	return nil, nil
}

func (m *member) run(ctx context.Context) {
	defer close(m.ended)
	for {
		message, err := m.reader.FetchMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.note(err)
			continue
		}
		m.lock.Lock()
		m.records = append(m.records, [2]int64{int64(message.Partition), message.Offset})
		m.lock.Unlock()
		if m.commits {
			m.commit(ctx, message)
		}
	}
}

func (m *member) commit(ctx context.Context, message kafka.Message) {
	// A rebalance or a broker that is away may refuse it: the records come again.
	if err := m.reader.CommitMessages(ctx, message); err != nil {
		m.note(err)
		return
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.committed[strconv.Itoa(message.Partition)] = message.Offset + 1
}

func (m *member) note(err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.notes = append(m.notes, err.Error())
	if len(m.notes) > notesMax {
		m.notes = m.notes[1:]
	}
}

// take answers what happened; kafka-go does not tell what a reader is assigned.
func (m *member) take() answer {
	m.lock.Lock()
	defer m.lock.Unlock()
	records := m.records
	m.records = [][2]int64{}
	return answer{"records": records, "assigned": nil, "assignments": 0, "revoked": []int{}, "committed": m.committed,
		"notes": m.notes, "failure": nil}
}

func groupStop(context.Context, Command) (answer, error) {
	current.stop()
	<-current.ended
	err := current.reader.Close()
	return current.take(), err
}

func listGroups(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err = errors.Join(err, errorIn(found != nil, func() error { return found.Error })); err != nil {
		return nil, err
	}
	names := []string{}
	for _, group := range found.Groups {
		names = append(names, group.GroupID)
	}
	sort.Strings(names)
	return answer{"groups": names}, nil
}

// errorIn asks for the error inside an answer only where there is an answer.
func errorIn(there bool, ask func() error) error {
	if !there {
		return nil
	}
	return ask()
}

func describeGroup(ctx context.Context, command Command) (answer, error) {
	found, err := client(command).DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{command.Group}})
	if err != nil {
		return nil, err
	}
	group := found.Groups[0]
	if group.Error != nil {
		return nil, group.Error
	}
	return answer{"state": group.GroupState, "members": len(group.Members)}, nil
}

// knownPartitions waits until the client, which keeps what it knows of topics for some seconds, has heard of the topic.
func knownPartitions(ctx context.Context, command Command) ([]int, error) {
	for {
		partitions, err := partitionsOf(ctx, command)
		if err != nil || len(partitions) > 0 {
			return partitions, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func groupOffsets(ctx context.Context, command Command) (answer, error) {
	partitions, err := knownPartitions(ctx, command)
	if err != nil {
		return nil, err
	}
	found, err := client(command).OffsetFetch(ctx,
		&kafka.OffsetFetchRequest{GroupID: command.Group, Topics: map[string][]int{command.Topic: partitions}})
	if err = errors.Join(err, errorIn(found != nil, func() error { return found.Error })); err != nil {
		return nil, err
	}
	offsets := map[string]int64{}
	for _, partition := range found.Topics[command.Topic] {
		if partition.Error != nil {
			return nil, partition.Error
		}
		if partition.CommittedOffset >= 0 {
			offsets[strconv.Itoa(partition.Partition)] = partition.CommittedOffset
		}
	}
	return answer{"offsets": offsets}, nil
}

func alterOffsets(ctx context.Context, command Command) (answer, error) {
	commits := []kafka.OffsetCommit{}
	for partition, offset := range command.Offsets {
		number, err := strconv.Atoi(partition)
		if err != nil {
			return nil, err
		}
		commits = append(commits, kafka.OffsetCommit{Partition: number, Offset: offset})
	}
	done, err := client(command).OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: command.Group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{command.Topic: commits}})
	if err != nil {
		return nil, err
	}
	for _, partition := range done.Topics[command.Topic] {
		if partition.Error != nil {
			return nil, partition.Error
		}
	}
	return nil, nil
}

func deleteOffsets(ctx context.Context, command Command) (answer, error) {
	partitions, err := knownPartitions(ctx, command)
	if err != nil {
		return nil, err
	}
	done, err := client(command).OffsetDelete(ctx,
		&kafka.OffsetDeleteRequest{GroupID: command.Group, Topics: map[string][]int{command.Topic: partitions}})
	if err = errors.Join(err, errorIn(done != nil, func() error { return done.Error })); err != nil {
		return nil, err
	}
	for _, partition := range done.Topics[command.Topic] {
		if partition.Error != nil {
			return nil, partition.Error
		}
	}
	return nil, nil
}

func deleteGroup(ctx context.Context, command Command) (answer, error) {
	done, err := client(command).DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{command.Group}})
	return nil, errors.Join(err, errorIn(done != nil, func() error { return done.Errors[command.Group] }))
}
