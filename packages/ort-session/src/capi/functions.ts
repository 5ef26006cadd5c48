/**
 * @file The functions of ONNX Runtime's C API that are used here: index in the table `struct OrtApi`
 * (onnxruntime_c_api.h; the table only ever grows at its end) and C signature, results written through the last
 * parameters.
 */

/** The oldest API version that has everything used here. */
export const API_VERSION = 24;

/** Index in OrtApi and C signature. */
export const FUNCTIONS = {
  GetErrorCode: [1, "int %(void* status)"],
  GetErrorMessage: [2, "str %(void* status)"],
  CreateEnv: [3, "void* %(int level, str id, _Out_ void** out)"],
  CreateSession: [7, "void* %(void* env, str path, void* options, _Out_ void** out)"],
  CreateSessionFromArray: [8, "void* %(void* env, void* data, size_t size, void* options, _Out_ void** out)"],
  CreateSessionOptions: [10, "void* %(_Out_ void** out)"],
  SetOptimizedModelFilePath: [11, "void* %(void* options, str path)"],
  EnableProfiling: [14, "void* %(void* options, str prefix)"],
  DisableMemPattern: [17, "void* %(void* options)"],
  SetSessionLogSeverityLevel: [22, "void* %(void* options, int level)"],
  SetSessionGraphOptimizationLevel: [23, "void* %(void* options, int level)"],
  SetIntraOpNumThreads: [24, "void* %(void* options, int threads)"],
  SessionGetInputCount: [30, "void* %(void* session, _Out_ size_t* out)"],
  SessionGetOutputCount: [31, "void* %(void* session, _Out_ size_t* out)"],
  SessionGetInputTypeInfo: [33, "void* %(void* session, size_t index, _Out_ void** out)"],
  SessionGetOutputTypeInfo: [34, "void* %(void* session, size_t index, _Out_ void** out)"],
  SessionGetInputName: [36, "void* %(void* session, size_t index, void* allocator, _Out_ void** out)"],
  SessionGetOutputName: [37, "void* %(void* session, size_t index, void* allocator, _Out_ void** out)"],
  CreateTensorAsOrtValue: [
    48,
    "void* %(void* allocator, int64_t* shape, size_t rank, int type, _Out_ void** out)",
  ],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void* %(void* info, void* data, size_t bytes, int64_t* shape, size_t rank, int type, _Out_ void** out)",
  ],
  CastTypeInfoToTensorInfo: [55, "void* %(void* info, _Out_ void** out)"],
  GetTensorElementType: [60, "void* %(void* info, _Out_ int* out)"],
  GetDimensionsCount: [61, "void* %(void* info, _Out_ size_t* out)"],
  GetDimensions: [62, "void* %(void* info, _Out_ int64_t* out, size_t rank)"],
  CreateMemoryInfo: [68, "void* %(str name, int type, int id, int memory, _Out_ void** out)"],
  CreateCpuMemoryInfo: [69, "void* %(int type, int memory, _Out_ void** out)"],
  AllocatorFree: [76, "void* %(void* allocator, void* pointer)"],
  GetAllocatorWithDefaultOptions: [78, "void* %(_Out_ void** out)"],
  ReleaseStatus: [93, "void %(void* status)"],
  ReleaseMemoryInfo: [94, "void %(void* info)"],
  ReleaseSession: [95, "void %(void* session)"],
  ReleaseValue: [96, "void %(void* value)"],
  ReleaseTypeInfo: [98, "void %(void* info)"],
  ReleaseSessionOptions: [100, "void %(void* options)"],
  AddSessionConfigEntry: [130, "void* %(void* options, str key, str value)"],
  CreateAllocator: [131, "void* %(void* session, void* info, _Out_ void** out)"],
  ReleaseAllocator: [132, "void %(void* allocator)"],
  RunWithBinding: [133, "void* %(void* session, void* options, void* binding)"],
  CreateIoBinding: [134, "void* %(void* session, _Out_ void** out)"],
  ReleaseIoBinding: [135, "void %(void* binding)"],
  BindInput: [136, "void* %(void* binding, str name, void* value)"],
  BindOutput: [137, "void* %(void* binding, str name, void* value)"],
  CreateAndRegisterAllocator: [144, "void* %(void* env, void* info, void* config)"],
  SynchronizeBoundInputs: [202, "void* %(void* binding)"],
  SynchronizeBoundOutputs: [203, "void* %(void* binding)"],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, "void* %(void* options, void* cuda)"],
  CreateCUDAProviderOptions: [205, "void* %(_Out_ void** out)"],
  UpdateCUDAProviderOptions: [206, "void* %(void* cuda, str* keys, str* values, size_t count)"],
  ReleaseCUDAProviderOptions: [208, "void %(void* cuda)"],
  MemoryInfoGetDeviceType: [227, "void %(void* info, _Out_ int* out)"],
  GetKeyValuePairs: [298, "void %(void* pairs, _Out_ void** keys, _Out_ void** values, _Out_ size_t* count)"],
  ReleaseKeyValuePairs: [300, "void %(void* pairs)"],
  AllocatorGetStats: [319, "void* %(void* allocator, _Out_ void** out)"],
  SessionGetMemoryInfoForInputs: [380, "void* %(void* session, void** infos, size_t count)"],
  Session_GetEpGraphAssignmentInfo: [
    407,
    "void* %(void* session, _Out_ void** subgraphs, _Out_ size_t* count)",
  ],
  EpAssignedSubgraph_GetEpName: [408, "void* %(void* subgraph, _Out_ void** out)"],
  EpAssignedSubgraph_GetNodes: [409, "void* %(void* subgraph, _Out_ void** nodes, _Out_ size_t* count)"],
  EpAssignedNode_GetName: [410, "void* %(void* node, _Out_ void** out)"],
  EpAssignedNode_GetOperatorType: [412, "void* %(void* node, _Out_ void** out)"],
} as const;

export type FunctionName = keyof typeof FUNCTIONS;
