// Drives segmentio/kafka-go: one JSON command per line in, one JSON answer per line out.
// The operations are listed in ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Header is a pair in JSON: ["name", "base64"].
type Header struct {
	Name  string
	Value []byte
}

func (h Header) MarshalJSON() ([]byte, error) { return json.Marshal([]interface{}{h.Name, h.Value}) }

func (h *Header) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]interface{}{&h.Name, &h.Value})
}

// Record is what producers are told to send and what consumers answer; []byte is base64 in JSON and nil is null.
type Record struct {
	Partition *int     `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []Header `json:"headers"`
}

// Command holds the arguments of all operations.
type Command struct {
	Op           string            `json:"op"`
	Bootstrap    string            `json:"bootstrap"`
	Topic        string            `json:"topic"`
	Records      []Record          `json:"records"`
	Codec        string            `json:"codec"`
	Acks         json.RawMessage   `json:"acks"`
	Count        int               `json:"count"`
	Start        json.RawMessage   `json:"start"`
	Partitions   json.RawMessage   `json:"partitions"`
	Partition    int               `json:"partition"`
	Timestamp    *int64            `json:"timestamp"`
	TimeoutMs    int               `json:"timeout_ms"`
	Replication  int               `json:"replication"`
	Config       map[string]string `json:"config"`
	ValidateOnly bool              `json:"validate_only"`
	Total        int32             `json:"total"`
	Group        string            `json:"group"`
	Member       MemberOptions     `json:"member"`
	Offsets      map[string]int64  `json:"offsets"`
}

// brokers are the addresses to begin with.
func (c Command) brokers() []string { return strings.Split(c.Bootstrap, ",") }

type answer map[string]interface{}

var operations = map[string]func(context.Context, Command) (answer, error){
	"hello":             func(context.Context, Command) (answer, error) { return answer{"client": "kafka-go 0.4.47"}, nil },
	"produce":           produce,
	"consume":           consume,
	"offsets":           offsets,
	"create_topic":      createTopic,
	"delete_topic":      deleteTopic,
	"list_topics":       listTopics,
	"create_partitions": createPartitions,
	"get_config":        getConfig,
	"set_config":        setConfig,
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var command Command
		reply := answer{}
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			reply["error"] = errorOf(err)
		} else if operation, known := operations[command.Op]; !known {
			reply["unsupported"] = command.Op
		} else {
			reply = run(operation, command)
		}
		text, _ := json.Marshal(reply)
		fmt.Println(string(text))
	}
}

func run(operation func(context.Context, Command) (answer, error), command Command) answer {
	if command.TimeoutMs == 0 {
		command.TimeoutMs = 20000
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(command.TimeoutMs)*time.Millisecond)
	defer cancel()
	reply, err := operation(ctx, command)
	if err != nil {
		return answer{"error": errorOf(err)}
	}
	if reply == nil {
		reply = answer{}
	}
	return reply
}

func errorOf(err error) answer {
	failures := kafka.WriteErrors{}
	if errors.As(err, &failures) {
		for _, one := range failures {
			if one != nil {
				err = one
			}
		}
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return answer{"code": int(code), "type": code.Title(), "message": err.Error()}
	}
	if errors.Is(err, protocol.ErrNoLeader) {
		return answer{"code": int(kafka.LeaderNotAvailable), "type": kafka.LeaderNotAvailable.Title(), "message": err.Error()}
	}
	var large kafka.MessageTooLargeError
	if errors.As(err, &large) {
		return answer{"code": 10, "type": "MessageTooLargeError", "message": err.Error()}
	}
	return answer{"code": nil, "type": fmt.Sprintf("%T", err), "message": err.Error()}
}

func client(command Command) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(command.brokers()...), Timeout: 10 * time.Second}
}
