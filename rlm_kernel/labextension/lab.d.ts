// The parts of JupyterLab 4.6 and Notebook 7.6 that are used here, and the messages of our comm.

export interface Containers {
  _JUPYTERLAB?: Record<string, { init(scope: ShareScope): void; get(): Promise<() => unknown> }>;
}
export type ShareScope = Record<string, Record<string, { loaded?: unknown; get(): Promise<() => unknown> }>>;

export interface Signal<Sender, Args> {
  connect(slot: (sender: Sender, args: Args) => void): boolean;
  disconnect(slot: (sender: Sender, args: Args) => void): boolean;
}

export type Json = Record<string, any>;

/** A cell as it is shared between pages (`@jupyter/ydoc`). */
export interface SharedCell {
  readonly cell_type: string;
  readonly isDisposed: boolean;
  readonly ysource: {
    observe(seen: (event: unknown, transaction: { local: boolean }) => void): void;
  };
  readonly metadataChanged: Signal<SharedCell, unknown>;
  getId(): string;
  getSource(): string;
  updateSource(start: number, end: number, value?: string): void;
  getMetadata(): Json;
  getMetadata(key: string): any;
  setMetadata(key: string, value: unknown): void;
  deleteMetadata(key: string): void;
  toJSON(): Json;
}
export interface SharedNotebook {
  readonly cells: SharedCell[];
  readonly awareness: Awareness;
  readonly changed: Signal<SharedNotebook, { cellsChange?: unknown[]; }>;
  insertCell(index: number, cell: Json): SharedCell;
  insertCells(index: number, cells: Json[]): SharedCell[];
  deleteCell(index: number): void;
  deleteCellRange(from: number, to: number): void;
  transact(work: () => void, undoable?: boolean): void;
  setMetadata(key: string, value: unknown): void;
  getMetadata(key: string): any;
}
export interface Awareness {
  readonly clientID: number;
  getStates(): Map<number, Json>;
  setLocalStateField(field: string, value: unknown): void;
  on(event: 'change', seen: (change: { removed: number[] }) => void): void;
}
export interface Outputs {
  readonly length: number;
  add(output: Json): number;
  set(index: number, output: Json): void;
  fromJSON(outputs: Json[]): void;
  toJSON(): Json[];
}
export interface CellModel {
  readonly id: string;
  readonly sharedModel: SharedCell;
  trusted: boolean;
  outputs?: Outputs;
  executionCount?: number | null;
  executionState?: 'idle' | 'running';
}
export interface CellWidget {
  readonly node: HTMLElement;
  readonly model: CellModel;
  readonly isDisposed: boolean;
  readonly outputArea?: { future?: { isDisposed: boolean; msg: { header: { msg_id: string } } } };
  readonly renderer?: { renderModel(model: unknown): Promise<void> };
  rendered?: boolean;
  setHidden(hidden: boolean): void;
  setPrompt?(prompt: string): void;
  toggleClass(name: string, on: boolean): boolean;
}
export interface Comm {
  readonly isDisposed: boolean;
  onMsg: (message: { content: { data: any } }) => void;
  onClose: (message: unknown) => void;
  open(data: Json): unknown;
  send(data: Json): unknown;
  close(): unknown;
}
export interface Kernel {
  readonly clientId: string;
  readonly info: Promise<{ implementation: string }>;
  readonly isDisposed: boolean;
  createComm(target: string): Comm;
}
export interface NotebookPanel {
  readonly node: HTMLElement;
  readonly isDisposed: boolean;
  readonly disposed: Signal<NotebookPanel, void>;
  readonly content: {
    readonly model: { readonly sharedModel: SharedNotebook; readonly collaborative?: boolean } | null;
    readonly widgets: readonly CellWidget[];
    readonly activeCell: CellWidget | null;
    activeCellIndex: number;
    deselectAll(): void;
    readonly modelContentChanged: Signal<unknown, void>;
  };
  readonly context: { readonly ready: Promise<void>; readonly path: string };
  readonly sessionContext: {
    readonly ready: Promise<void>;
    readonly session: { readonly kernel: Kernel | null } | null;
    readonly kernelChanged: Signal<unknown, unknown>;
    readonly statusChanged: Signal<unknown, string>;
    changeKernel(options: { name: string }): Promise<unknown>;
  };
}
export interface Tracker {
  readonly currentWidget: NotebookPanel | null;
  readonly widgetAdded: Signal<Tracker, NotebookPanel>;
  forEach(each: (panel: NotebookPanel) => void): void;
}
export interface App {
  readonly commands: {
    addCommand(id: string, options: {
      label: string; caption?: string; execute(): unknown; isEnabled?(): boolean;
    }): unknown;
    execute(id: string, args?: Json): Promise<unknown>;
  };
}
export interface Palette {
  addItem(item: { command: string; category: string }): unknown;
}

/** What a cell of the LM's has as `metadata.rlm`, and the cell that asked. */
export interface Mark {
  author: 'lm' | 'human';
  run: string;
  asking: string;
  key?: string;
  turn?: number;
  state: string;
  badge?: string;
  edited?: boolean;
  /** Of the cell that asks: keys of cells that the human removed. */
  dropped?: string[];
  folded?: boolean;
  /** Of the cell that asks: an earlier run whose cells go when the first of this one comes. */
  before?: string;
  mine?: Mine;
}
/** What stands in the place of a question in a notebook of one's own. */
export interface Mine {
  markdown: string;
  code: string;
  needs: string[];
}

interface Named {
  run: string;
  asking: string;
  after: string;
  session: string;
  /** True of what the kernel had kept when the page opened. */
  kept?: boolean;
}
export interface QuestionTold extends Named {
  type: 'question';
  state: string;
  line: string;
  outputs: Json[];
  count: number | null;
  mine?: Mine;
}
export interface CellTold extends Named {
  type: 'cell';
  key: string;
  turn: number;
  kind: 'code' | 'markdown';
  source?: string;
  state?: string;
  outputs?: Json[];
  count?: number | null;
  badge?: string;
}
export type Told =
  | QuestionTold
  | CellTold
  | (Named & { type: 'removed'; key: string })
  | { type: 'welcome'; version: number; running: string[] }
  | { type: 'refused'; version: number }
  | { type: 'do'; what: 'fold' | 'remove'; run: string };
