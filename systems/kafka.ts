// Apache Kafka as one node that is broker and controller (KRaft), and as brokers that join it, from its
// jars on Maven Central. They are what the official archive holds, and every machine with Java and Maven
// can get them.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { probeKafka } from './kafka-probe.ts'
import { installPathOf } from './paths.ts'
import type { KafkaCluster, Place, Program, System } from './system.ts'
import { JAVA, MAVEN, runTool } from './tools.ts'

/** 4.4.0 is on Maven Central in part only: its kafka-tools-api is missing. */
const VERSION = '4.3.1'
/** The binding for the slf4j 1.7 that Kafka brings, of the age of its log4j. */
const LOG4J_VERSION = '2.25.4'
const COPY_DEPENDENCIES = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const JARS = 'jars'
const SERVER_JAR = join(JARS, `kafka_2.13-${VERSION}.jar`)
const TOOLS_JAR = join(JARS, `kafka-tools-${VERSION}.jar`)
const LOGGING_JAR = join(JARS, `log4j-slf4j-impl-${LOG4J_VERSION}.jar`)
const LOGGING = 'log4j2.json'
const PROPERTIES = 'server.properties'
const META = join('data', 'meta.properties')
const FIRST_NODE = 1
const VOTERS = 'controller.quorum.voters'
/** A broker beside a mesh on a laptop: half the processor time to its first answer. */
const SMALL_JAVA = '-Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'
/** kafka-server-start.sh and kafka-run-class.sh. */
const VENDOR_JAVA =
  '-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 ' +
  '-XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent'

export const kafka: System = {
  name: 'kafka',
  version: VERSION,
  title: 'Apache Kafka (KRaft, one node)',
  hasPeerPort: true,
  installTools: [JAVA, MAVEN],
  runTools: [JAVA],
  files: [SERVER_JAR, TOOLS_JAR, LOGGING_JAR, LOGGING],
  startLimitMs: 90_000,

  async install(installPath, options) {
    const pom = join(installPath, 'pom.xml')
    const target = join(installPath, 'target')
    await writeFile(pom, POM)
    const jars = join(installPath, JARS)
    const words = ['--batch-mode', '--file', pom, COPY_DEPENDENCIES, '-DincludeScope=runtime']
    await runTool('mvn', [...words, `-DoutputDirectory=${jars}`], { ...options, cwd: installPath })
    await writeFile(join(installPath, LOGGING), LOGGING_CONFIGURATION)
    await rm(target, { recursive: true, force: true })
  },

  async installedVersion(installPath) {
    const lines: string[] = []
    await runTool('java', [...javaWords(installPath), 'kafka.Kafka', '--version'], {
      onLine: (line) => lines.push(line),
    })
    return lines.at(-1)?.split(' ')[0] ?? ''
  },

  async prepare(place) {
    const { installPath, dataPath, kafka: { vendorJava = false, joins } = {} } = place
    const properties = join(dataPath, PROPERTIES)
    await writeFile(properties, serverProperties(place))
    if (!existsSync(join(dataPath, META))) {
      const clusterId = joins?.clusterId ?? randomBytes(16).toString('base64url')
      const tool = ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`]
      // Lives for a second: no time for the better compiler to pay.
      const quick = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
      const words = [...quick, ...javaWords(installPath), ...tool, '--config', properties]
      await runTool('java', words)
    }
    const tuning = (vendorJava ? VENDOR_JAVA : SMALL_JAVA).split(' ')
    return {
      command: 'java',
      words: [...tuning, ...javaWords(installPath), 'kafka.Kafka', properties],
    }
  },

  probe: ({ host, port, kafka: options }) => probeKafka(host, port, options?.sasl),

  address: ({ host, port }) => `${host}:${port}`,
}

/** What a further broker is told to join the cluster that a running node began. */
export async function kafkaCluster({ dataPath }: { dataPath: string }): Promise<KafkaCluster> {
  const valueOf = async (file: string, key: string): Promise<string> => {
    const lines = (await readFile(join(dataPath, file), 'utf8')).split('\n')
    return lines.find((line) => line.startsWith(`${key}=`))!.slice(key.length + 1)
  }
  const voters = await valueOf(PROPERTIES, VOTERS)
  return {
    clusterId: await valueOf(META, 'cluster.id'),
    controller: voters.slice(voters.indexOf('@') + 1),
  }
}

/** One of Kafka's own command line tools, by its class: `org.apache.kafka.tools.ProducerPerformance`. */
export function kafkaTool(className: string, words: readonly string[]): Program {
  return { command: 'java', words: [...javaWords(installPathOf(kafka)), className, ...words] }
}

/** The tools without Kafka Connect and its web server, which those we run do without. */
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>skein.systems</groupId>
  <artifactId>kafka</artifactId>
  <version>${VERSION}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>${VERSION}</version>
      <exclusions>
        <exclusion>
          <groupId>org.apache.kafka</groupId>
          <artifactId>connect-runtime</artifactId>
        </exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>${LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`

const LOGGING_CONFIGURATION = JSON.stringify({
  Configuration: {
    status: 'error',
    Appenders: {
      Console: { name: 'out', PatternLayout: { pattern: '%d{ISO8601} %p %m (%c)%n' } },
    },
    Loggers: {
      Root: { level: 'warn', AppenderRef: { ref: 'out' } },
      Logger: [{ name: 'kafka.server.KafkaRaftServer', level: 'info' }],
    },
  },
})

function javaWords(installPath: string): string[] {
  return [
    `-Dlog4j2.configurationFile=${join(installPath, LOGGING)}`,
    '-Djava.awt.headless=true',
    '-classpath',
    join(installPath, JARS, '*'),
  ]
}

/**
 * Durability, batching and limits on messages are Kafka's own defaults, so that what is measured is Kafka.
 * The rest is made small, for one node on a laptop; topics come from who uses them, with settings of theirs.
 */
function serverProperties({ dataPath, host, port, peerPort, kafka: options }: Place): string {
  const { sasl, joins } = options ?? {}
  const controller = joins?.controller ?? `127.0.0.1:${peerPort}`
  const client = `CLIENT://${host}:${port}`
  const properties: Record<string, string | number> = {
    'process.roles': joins === undefined ? 'broker,controller' : 'broker',
    'node.id': joins?.nodeId ?? FIRST_NODE,
    [VOTERS]: `${FIRST_NODE}@${controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: joins === undefined ? `${client},CONTROLLER://${controller}` : client,
    'advertised.listeners': client,
    'listener.security.protocol.map': `CLIENT:${sasl ? 'SASL_PLAINTEXT' : 'PLAINTEXT'},CONTROLLER:PLAINTEXT`,
    'inter.broker.listener.name': 'CLIENT',
    'log.dirs': join(dataPath, 'data'),
    // A broker that was killed comes back only when its old session has run out (9 s by default).
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': 0,
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
  }
  if (sasl !== undefined) {
    const { username, password } = sasl
    properties['sasl.enabled.mechanisms'] = 'PLAIN'
    properties['sasl.mechanism.inter.broker.protocol'] = 'PLAIN'
    properties['listener.name.client.plain.sasl.jaas.config'] =
      'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
      `username="${username}" password="${password}" user_${username}="${password}";`
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}
